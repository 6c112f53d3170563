// Tags of a job, names by which people find it, and the flags that say what a job has besides its envelope.
// For job.ts; scripts read both (queue/lua/text.lua, tags.lua).
import type { Rule } from './options.ts'

const TAG = /^[A-Za-z0-9:._@/-]{1,64}$/
const MOST_TAGS = 5
export const NO_TAGS: readonly string[] = []

export const TAGS: Rule = {
  isValid: (value) =>
    Array.isArray(value) &&
    value.length <= MOST_TAGS &&
    value.every((each) => typeof each === 'string' && TAG.test(each)),
  is: `a list of at most ${MOST_TAGS} texts, each 1 to 64 of A-Z a-z 0-9 : . _ - @ /`,
}

const KEYED = 2
/** It has tags, or comes from a schedule: something has its id. */
const TAGGED = 4
const UNIQUE = 8
const EXPIRES = 16

/** The options of a job that it has flags for. */
interface Flagged {
  key?: string
  tags?: readonly string[]
  unique?: object
  expiresInMs?: number
}

/** A sum in one character from '0' on. */
export function flagsOf({ key, tags = NO_TAGS, unique, expiresInMs }: Flagged): string {
  const flags = (key === undefined ? 0 : KEYED) + (tags.length === 0 ? 0 : TAGGED)
  const times = (unique === undefined ? 0 : UNIQUE) + (expiresInMs === undefined ? 0 : EXPIRES)
  return FLAGS[flags + times] ?? ''
}
const FLAGS = Array.from({ length: 64 }, (_, flags) => String.fromCharCode(48 + flags))

export function withTagged(flags: string): string {
  return FLAGS[(flags.charCodeAt(0) - 48) | TAGGED] ?? ''
}

/** The named field of a header. */
export const tagsText = (tags: readonly string[]): string =>
  tags.length === 0 ? '' : ` g=${[...new Set(tags)].join(',')}`

export function tagsIn(fields: string): readonly string[] {
  const text = fields.includes(' g=') ? / g=(\S+)/.exec(fields)?.[1] : undefined
  return text === undefined ? NO_TAGS : text.split(',').slice(0, MOST_TAGS)
}

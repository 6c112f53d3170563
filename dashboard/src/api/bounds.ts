// The bounds of requests and answers, and the words that many of them share.
import { object, optional, text, whole } from '../schema.ts'

/** Where the API begins, below the base path of the server. */
export const API = '/api/v1'
/** Rows of one answer. */
export const MOST_ROWS = 200
/** Of a payload or a result, in an answer. */
export const MOST_TEXT_BYTES = 65_536

export const time = (what: string) => whole(`${what}; ms UTC`)
export const words = (what: string, max = 4_096) => text(what, { max })

export const JOB_STATES = ['ready', 'delayed', 'held', 'completed', 'cancelled', 'expired', 'buried'] as const
export const PRIORITIES = ['urgent', 'high', 'normal', 'low'] as const

/** The body of writes that say nothing else. */
export const Reason = object('Why', { reason: optional(text('For the audit log', { max: 500 })) })

// Who asks, what the server is, and how it refuses.

import { flag, list, named, object, oneOf, optional, record, type TypeOf, whole } from '../schema.ts'
import { time, words } from './bounds.ts'

export const Me = named(
  'Me',
  object('Who asks, and what is allowed', {
    user: words('The name of the user'),
    groups: list('The groups of the user', words('A group')),
    mode: words('How the server knows who asks: local, kubernetes, proxy or token'),
    isReadOnly: flag('Whether the server refuses every change, whoever asks'),
    can: record(
      'What is allowed, by namespace: resource and verb, like "jobs retry"',
      list('What is allowed in this namespace', words('Resource and verb')),
    ),
  }),
)
export type Me = TypeOf<typeof Me>

export const Config = named(
  'Config',
  object('What pages need to know of the server', {
    version: words('The version of Millhand'),
    plant: oneOf('Where the queues are: in a cluster, or in `millhand up`', ['kubernetes', 'up']),
    isReadOnly: flag('Whether the server refuses every change, whoever asks'),
    nowMs: time('The clock of the server'),
    mostRows: whole('Rows of one answer'),
  }),
)
export type Config = TypeOf<typeof Config>

export const ErrorAnswer = named(
  'ErrorAnswer',
  object('What every answer with a status of 400 or more has', {
    error: object('Why not', {
      code: words('One word, for programs'),
      message: words('A sentence that names the field, its value and the remedy', 33_000),
      state: optional(words('With 409: the state of the job now')),
      sinceMs: optional(time('With 503: since when Redis is away')),
    }),
  }),
)
export type ErrorAnswer = TypeOf<typeof ErrorAnswer>

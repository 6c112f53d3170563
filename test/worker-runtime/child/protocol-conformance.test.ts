// What a child in any language must do: drives a child over its descriptor 3 by child/PROTOCOL.md alone, with no code of ours for the frames. To
// try another program, add its command to CHILDREN.

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { jest } from '@jest/globals'
import type { Birth } from '../../../worker-runtime/src/child/child.ts'
import {
  encodeFromChild,
  encodeToChild,
  FORMATS,
  type FromChild,
  type ToChild,
} from '../../../worker-runtime/src/child/messages.ts'
import { spawnChild } from '../../../worker-runtime/src/child/source/spawn.ts'
import { eventually } from '../../eventually.ts'
import { isAlive } from '../../processes.ts'
import { frame } from '../../tasks/frame.ts'

jest.setTimeout(60_000) // real processes, on a machine that may be busy

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url))
const hasPython = spawnSync('python3', ['--version']).status === 0
const CHILDREN: { name: string; command?: [string, ...string[]]; modules: string[] }[] = [
  { name: 'ours', modules: [path('../../tasks/conforms.ts')] },
  { name: 'a child in Python', command: ['python3', path('../../fixtures/child.py')], modules: [] },
]
// Codes of PROTOCOL.md.
const [LOAD, ATTEMPT, ABORT, END, ANSWER, DRAIN] = [1, 2, 3, 5, 7, 8]
const [READY, ACCEPTED, PROGRESS, OUTPUT, ABORTING, SUCCEEDED, FAILED, TOO_LARGE, CALL, HANDED_OVER] = [
  16, 18, 19, 20, 21, 22, 23, 24, 29, 30,
]

interface Got {
  kind: number
  fields: Record<string, unknown>
  body: string
}

for (const { name, command, modules } of CHILDREN) {
  const isMissing = command?.[0] === 'python3' && !hasPython
  if (isMissing) console.warn('python3 is not here: its child is not tried')
  const describeIt = isMissing ? describe.skip : describe
  describeIt(name, () => {
    const started: Pick<Birth, 'pid' | 'channel' | 'ended'>[] = []
    const start = async (once: boolean) => {
      const birth = await spawnChild({ env: { PATH: process.env.PATH }, ...(command && { command }) })
      if ('failure' in birth) throw new Error(birth.failure)
      const got: Got[] = []
      let rest = Buffer.alloc(0)
      birth.channel.on('error', () => {})
      birth.channel.on('data', (chunk: Buffer) => {
        rest = Buffer.concat([rest, chunk])
        while (rest.length >= 5 && rest.length >= 5 + rest.readUInt32BE(0)) {
          const content = rest.subarray(5, 5 + rest.readUInt32BE(0))
          const line = content.indexOf(10)
          got.push({
            kind: rest.readUInt8(4),
            fields: JSON.parse(content.toString('utf8', 0, line)),
            body: content.toString('utf8', line + 1),
          })
          rest = rest.subarray(5 + content.length)
        }
      })
      let output = ''
      for (const { readable } of birth.outputs) readable.on('data', (chunk) => (output += chunk))
      const child = {
        ...birth,
        got,
        output: () =>
          output +
          got
            .filter(({ kind }) => kind === OUTPUT)
            .map(({ body }) => body)
            .join(''),
        send: (kind: number, fields: object, body = '') =>
          birth.channel.write(frame(kind, `${JSON.stringify(fields)}\n${body}`)),
        order: (id: number, task: string, input: unknown) =>
          child.send(
            ATTEMPT,
            { id, jobId: `job-${id}`, queue: 'default.q', task, attempt: 1, enqueuedAtMs: 1 },
            JSON.stringify(input),
          ),
        next: (kind: number) =>
          eventually<Got | undefined>(() => got.find((each) => each.kind === kind), {
            what: `kind ${kind}`,
          }) as Promise<Got>,
      }
      started.push(birth)
      child.send(LOAD, { modules, once, jobsAtOnce: 1, aFieldOfALaterRelease: true })
      await child.next(READY)
      return child
    }
    afterEach(async () => {
      for (const { pid, channel, ended } of started.splice(0)) {
        channel.destroy()
        if (isAlive(pid)) process.kill(-pid, 'SIGKILL')
        await ended
      }
    })

    test('says which tasks it has, accepts an attempt before it says its result, and ends', async () => {
      const child = await start(true)
      expect((await child.next(READY)).fields.tasks).toEqual(expect.arrayContaining(['echo', 'fails']))
      child.order(7, 'echo', { a: ['☃', 1] })
      const { fields, body } = await child.next(SUCCEEDED)
      expect(JSON.parse(body)).toEqual({ a: ['☃', 1] })
      expect(fields).toMatchObject({
        id: 7,
        usage: { cpuUserMs: expect.any(Number), maxRssBytes: expect.any(Number) },
      })
      expect(child.got.map(({ kind }) => kind)).toEqual([READY, ACCEPTED, SUCCEEDED])
      expect((await child.next(ACCEPTED)).fields).toEqual({ ids: [7] })
      expect(await child.ended).toEqual({ exitCode: 0 })
    })

    test('says an error with its name and message', async () => {
      const child = await start(true)
      child.order(1, 'fails', { message: 'too bad' })
      expect((await child.next(FAILED)).fields).toMatchObject({
        id: 1,
        error: { name: 'ValueError', message: 'too bad', stack: expect.any(String) },
        terminal: false,
        spoilsChild: false,
      })
    })

    test('fails an attempt of a task that it does not have', async () => {
      const child = await start(true)
      child.order(1, 'no-such-task', null)
      expect((await child.next(FAILED)).fields.error).toMatchObject({
        message: expect.stringContaining('no-such-task'),
      })
    })

    test('does not send a result that is too large', async () => {
      const child = await start(true)
      child.order(1, 'large', { bytes: 2 ** 20 })
      expect((await child.next(TOO_LARGE)).fields).toMatchObject({ id: 1, bytes: 2 ** 20 + 2 })
    })

    test('runs one attempt after the other where it is not to end after one, and ends when told', async () => {
      const child = await start(false)
      for (const id of [1, 2, 3]) {
        child.order(id, 'echo', id)
        await eventually(() => child.got.some(({ kind, fields }) => kind === SUCCEEDED && fields.id === id))
      }
      child.send(END, {})
      expect(await child.ended).toEqual({ exitCode: 143 })
    })

    test('hears that an attempt should end, and says so', async () => {
      const child = await start(true)
      child.order(1, 'waits', null)
      await child.next(ACCEPTED)
      child.send(ABORT, { id: 1, reason: 'the job was cancelled' })
      expect((await child.next(ABORTING)).fields).toEqual({ id: 1 })
      expect((await child.next(SUCCEEDED)).body).toBe('"aborted"')
    })

    test('hears that its worker drains, and hands the job over', async () => {
      const child = await start(true)
      child.order(1, 'hands-over', null)
      await child.next(ACCEPTED)
      child.send(DRAIN, { id: 1 })
      expect((await child.next(HANDED_OVER)).fields).toEqual({ id: 1, usage: expect.any(Object) })
    })

    test('is not ended by a SIGTERM that is meant for the worker', async () => {
      const child = await start(true)
      process.kill(child.pid, 'SIGTERM')
      child.order(1, 'echo', 1)
      expect((await child.next(SUCCEEDED)).body).toBe('1')
    })

    test('asks its worker, and an answer or an error comes to the task', async () => {
      const asking = await start(true)
      asking.order(4, 'asks', { verb: 'progress' })
      const { fields } = await asking.next(CALL)
      expect(fields).toEqual({ id: 4, call: expect.any(Number), verb: 'progress' })
      expect(JSON.parse((await asking.next(PROGRESS)).body)).toEqual({ half: 0.5 })
      expect(asking.got.findIndex(({ kind }) => kind === PROGRESS)).toBeLessThan(
        asking.got.findIndex(({ kind }) => kind === CALL),
      )
      expect(asking.got.some(({ kind }) => kind === SUCCEEDED)).toBe(false)
      asking.send(ANSWER, { id: 4, call: fields.call }, 'null')
      expect((await asking.next(SUCCEEDED)).body).toBe('null')

      const refused = await start(true)
      refused.order(4, 'asks', { verb: 'progress' })
      const { call } = (await refused.next(CALL)).fields
      refused.send(ANSWER, {
        id: 4,
        call,
        error: { name: 'CallRefused', message: 'not yours', code: 'NOT_HELD' },
      })
      expect(JSON.stringify((await refused.next(FAILED)).fields.error)).toMatch(/not yours|NOT_HELD/)
    })

    test('asks what is saved before it runs a step, and says each value before it goes on', async () => {
      const child = await start(true)
      child.order(5, 'saves', null)
      const calls = () => child.got.filter(({ kind }) => kind === CALL)
      const answer = async (count: number, value: unknown) => {
        await eventually(() => calls().length === count, { what: `call ${count}` })
        const { fields, body } = calls().at(-1) as Got
        child.send(ANSWER, { id: 5, call: fields.call }, JSON.stringify(value))
        return { verb: fields.verb, argument: JSON.parse(body) }
      }
      expect(await answer(1, { steps: { first: 7 } })).toEqual({ verb: 'saved', argument: null })
      // The first one was done by an earlier attempt.
      expect(await answer(2, null)).toEqual({ verb: 'step', argument: ['second', [7, 'ä']] })
      expect(await answer(3, null)).toEqual({ verb: 'checkpoint', argument: { at: 2 } })
      expect(JSON.parse((await child.next(SUCCEEDED)).body)).toEqual([7, 'ä'])
      expect(calls()).toHaveLength(3)
    })

    test('lets its output be the output of the attempt', async () => {
      const child = await start(true)
      child.order(1, 'writes', { text: 'said\n' })
      await child.next(SUCCEEDED)
      await eventually(() => child.output() === 'said\n')
    })

    test('ends with its worker', async () => {
      const child = await start(true)
      child.order(1, 'waits', null)
      await child.next(ACCEPTED)
      child.channel.destroy()
      await child.ended
    })
  })
}

describe('the table of frames', () => {
  const text = readFileSync(path('../../../worker-runtime/src/child/PROTOCOL.md'), 'utf8')
  const rows = [...text.matchAll(/^\| `([a-z-]+)` \| (\d+) \| (\w+) \|([^|]*)\|([^|]*)\| (\d+) \|$/gm)].map(
    ([, kind = '', code, from, fields = '', body, maxBytes]) => ({
      kind,
      code: Number(code),
      from,
      fields: fields
        .split(',')
        .map((each) => each.trim())
        .filter(Boolean),
      hasBody: body?.trim() !== '',
      maxBytes: Number(maxBytes),
    }),
  )

  test('has each kind of the code, with its code, its direction and its limit', () => {
    const fromCode = Object.entries(FORMATS).map(([kind, { code, maxBytes }]) => ({
      kind,
      code,
      from: code < 16 ? 'worker' : code < 48 ? 'child' : 'zygote',
      maxBytes,
    }))
    expect(rows.map(({ kind, code, from, maxBytes }) => ({ kind, code, from, maxBytes }))).toEqual(
      fromCode.sort((one, other) => one.code - other.code),
    )
  })

  const error = { name: 'E', message: 'm' }
  const toChild: ToChild[] = [
    { kind: 'load', modules: [], once: true, jobsAtOnce: 1, forkShares: [] },
    {
      ...{ kind: 'attempt', id: 1, jobId: 'j', queue: 'q', task: 't', attempt: 1, enqueuedAtMs: 1 },
      ...{ headers: {}, payload: '1' },
    },
    { kind: 'abort', id: 1, reason: 'r' },
    { kind: 'probe' },
    { kind: 'end' },
    { kind: 'rehearse' },
    { kind: 'answer', id: 1, call: 1, error, value: '1' },
    { kind: 'drain', id: 1 },
  ]
  const fromChild: FromChild[] = [
    { kind: 'ready', tasks: [] },
    { kind: 'load-failed', reason: 'r', place: 'p', remedy: 'r' },
    { kind: 'accepted', ids: [1] },
    { kind: 'progress', id: 1, progress: '1' },
    { kind: 'output', id: 1, stream: 'stdout', output: Buffer.from('o') },
    { kind: 'aborting', id: 1 },
    { kind: 'succeeded', id: 1, usage: {}, result: '1' },
    { kind: 'failed', id: 1, usage: {}, error, terminal: false, spoilsChild: false },
    { kind: 'result-too-large', id: 1, usage: {}, bytes: 1 },
    { kind: 'exiting', id: 1 },
    { kind: 'spoiled', error },
    { kind: 'probed', facts: {} },
    { kind: 'lingers', resources: [] },
    { kind: 'call', id: 1, call: 1, verb: 'v', body: '1' },
    { kind: 'handed-over', id: 1, usage: {} },
    { kind: 'rests', id: 1, usage: {}, rest: { ms: 1, pause: 'job' }, error },
  ]

  test('has the fields and the body of each frame that worker and child send', () => {
    const frames = [
      ...toChild.map((each) => encodeToChild(each)),
      ...fromChild.map((each) => Buffer.from(encodeFromChild(each))),
    ]
    const sent = frames.map((bytes) => {
      const line = bytes.indexOf(10, 5)
      return {
        code: bytes.readUInt8(4),
        fields: Object.keys(JSON.parse(bytes.toString('utf8', 5, line))).sort(),
        hasBody: bytes.length > line + 1,
      }
    })
    const documented = rows
      .filter(({ from }) => from !== 'zygote')
      .map(({ code, fields, hasBody }) => ({
        code,
        fields: fields.map((each) => each.replace('?', '')).sort(),
        hasBody,
      }))
    expect(sent).toEqual(documented)
  })

  test('comes with an example that is the frame it says it is', () => {
    const bytes = /^00 00 00 [0-9a-f ]+$/m.exec(text)?.[0] ?? ''
    expect(Buffer.from(bytes.replaceAll(' ', ''), 'hex')).toEqual(
      encodeFromChild({ kind: 'succeeded', id: 7, usage: {}, result: '42' }),
    )
  })
})

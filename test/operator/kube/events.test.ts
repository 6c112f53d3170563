// What an Event says fits into what the API server takes: 1,024 bytes of UTF-8, cut between two code points. And of one object there are not too many.
import { kinds } from '../../../operator/src/kube/client.ts'
import { Events } from '../../../operator/src/kube/events.ts'

const subject = { kind: kinds.WorkerPool, namespace: 'shop', name: 'mail', uid: 'uid' }

function noteOf(message: string): string {
  const notes: string[] = []
  const events = new Events({
    kube: { createEvent: async ({ note }) => void notes.push(note) },
    instance: 'test',
    log: { debug() {}, info() {}, warn() {}, error() {} },
    nowMs: () => 0,
  })
  events.tell(subject, { type: 'Normal', reason: 'Ready', message })
  return notes[0] ?? ''
}

test.each([
  ['short', 'all is well'],
  ['exactly full', 'a'.repeat(1_024)],
  ['exactly full, of other letters', 'ж'.repeat(512)],
])('a note that is %s is told whole', (_, message) => {
  expect(noteOf(message)).toBe(message)
})

test.each(['a', 'ж', '中', '😀', 'a😀', '😀中ж'])('a note of many %s is cut at a code point', (letters) => {
  const message = letters.repeat(1_200)
  const note = noteOf(message)
  expect(Buffer.byteLength(note)).toBeLessThanOrEqual(1_024)
  expect(Buffer.byteLength(note)).toBeGreaterThan(1_016)
  expect(note.endsWith('…')).toBe(true)
  expect(message.startsWith(note.slice(0, -1))).toBe(true)
  expect(note.isWellFormed()).toBe(true)
})

test('of one object no more is told than a person reads, of others as before, and of it again after a while', () => {
  const told: string[] = []
  const clock = { nowMs: 0 }
  const events = new Events({
    kube: { createEvent: async ({ regarding, note }) => void told.push(`${regarding.name} ${note}`) },
    instance: 'test',
    log: { debug() {}, info() {}, warn() {}, error() {} },
    nowMs: () => clock.nowMs,
  })
  const scaled = (name: string, count: number) =>
    events.tell(
      { ...subject, name, uid: name },
      { type: 'Normal', reason: 'ScaledUp', message: `from ${count} to ${count + 1} pods` },
    )
  for (let count = 0; count < 500; count++) scaled('loud', count)
  expect(told.length).toBe(25)
  scaled('calm', 1)
  expect(told.at(-1)).toBe('calm from 1 to 2 pods')
  clock.nowMs += 60_000
  for (let count = 500; count < 600; count++) scaled('loud', count)
  expect(told.length).toBe(28)
})

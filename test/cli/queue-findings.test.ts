// What keeps a queue from its work: a row a rule.
import { type Depth, QueueRefused, type WorkerEntry } from 'millhand/queue'
import { layoutFinding, type QueueFacts, queueFindings } from '../../cli/src/queue-findings.ts'
import { noJobs } from '../no-jobs.ts'

const worker: WorkerEntry = {
  name: 'p:1',
  process: 'p',
  pod: 'mail-1',
  podUid: 'u',
  poolUid: '',
  node: '',
  slots: 4,
  isolation: 'Fork',
  version: '0',
  startedAtMs: 0,
  held: 0,
  alive: true,
  draining: false,
}
const MINUTE = 60_000
const waiting = (minutes: number): Depth => ({ ...noJobs, ready: 3, oldestReadyMs: minutes * MINUTE })
const facts: QueueFacts = {
  name: 'mail',
  namespace: 'shop',
  option: ' --namespace shop',
  depth: noJobs,
  workers: [worker],
}

interface Row {
  facts: Partial<QueueFacts>
  /** check severity */
  finds: string[]
  says?: RegExp
  remedy?: RegExp
}

const rows: Record<string, Row> = {
  'an idle queue': { facts: {}, finds: [] },
  'an idle queue without workers': { facts: { workers: [] }, finds: [] },
  'no worker, for long': {
    facts: { depth: waiting(2), workers: [] },
    finds: ['Workers problem'],
    says: /3 jobs wait, the oldest for 2m, and no worker runs/,
    remedy: /kubectl -n shop describe workerpools .* millhand worker FILE --queue mail --namespace shop/,
  },
  'no worker, since a moment': { facts: { depth: waiting(0.5), workers: [] }, finds: ['Workers note'] },
  'only workers that stop': {
    facts: { depth: waiting(2), workers: [{ ...worker, draining: true }] },
    finds: ['Workers warning'],
    says: /every worker \(1\) is stopping/,
  },
  'some wait, and workers work': { facts: { depth: waiting(9) }, finds: [] },
  'the oldest waits for long': {
    facts: { depth: { ...waiting(11), busy: 4 } },
    finds: ['Waiting warning'],
    says: /3 jobs wait, the oldest for 11m; 1 worker with 4 slots run 4 of this queue/,
    remedy: /millhand jobs mail state:held --namespace shop/,
  },
  'the limit lets no more run': {
    facts: { depth: { ...waiting(11), busy: 2, maxBusy: 2 } },
    finds: ['Waiting warning'],
    says: /limits\.maxBusy of the TaskQueue lets no more than 2 run/,
  },
  'paused, with jobs': {
    facts: { depth: { ...waiting(90), paused: true }, workers: [] },
    finds: ['Paused warning'],
    says: /a person paused the queue, and 3 jobs wait/,
    remedy: /^millhand resume mail --namespace shop$/,
  },
  'paused, with nothing to do': { facts: { depth: { ...noJobs, paused: true } }, finds: ['Paused note'] },
  'resting, with jobs and no worker': {
    facts: { depth: { ...waiting(90), restsMs: 40_000 }, workers: [] },
    finds: ['Resting warning'],
    says: /a task asked for a rest of the queue \(RetryAfter\), for 40s more, and 3 jobs wait/,
    remedy: /millhand resume mail --namespace shop$/,
  },
  'suspended, with jobs': {
    facts: { depth: { ...waiting(90), suspended: true } },
    finds: ['Suspended warning'],
    remedy: /kubectl -n shop patch taskqueue mail --type merge -p '\{"spec":\{"suspend":false\}\}'/,
  },
  'both paused and suspended': {
    facts: { depth: { ...noJobs, paused: true, suspended: true } },
    finds: ['Paused note', 'Suspended note'],
  },
  'a silent worker among others': {
    facts: { workers: [worker, { ...worker, name: 'p:2', pod: 'mail-2', alive: false, held: 2 }] },
    finds: ['Silent warning'],
    says: /1 worker ended or hung \(mail-2\), with 2 jobs; the others take this over/,
  },
  'a silent worker that held nothing': {
    facts: { workers: [worker, { ...worker, alive: false }] },
    finds: ['Silent note'],
  },
  'none but silent workers': {
    facts: {
      workers: [1, 2, 3, 4, 5].map((at) => ({ ...worker, pod: '', name: `p:${at}`, alive: false, held: 1 })),
    },
    finds: ['Silent problem'],
    says: /5 workers ended or hung \(p:1, p:2, p:3 and 2 more\), with 5 jobs, and no other worker is there to take over/,
    remedy: /millhand worker FILE --queue mail --namespace shop/,
  },
  'nearly full, delayed ones counted': {
    facts: { depth: { ...noJobs, ready: 50, delayed: 30 }, maxLength: 100 },
    finds: ['Length warning'],
    says: /80 jobs wait, and at 100 no more can be enqueued/,
  },
  'about to refuse': {
    facts: { depth: { ...noJobs, ready: 95 }, maxLength: 100 },
    finds: ['Length problem'],
  },
  'not nearly full': { facts: { depth: { ...noJobs, ready: 79 }, maxLength: 100 }, finds: [] },
  'the length that is usual': {
    facts: { depth: { ...noJobs, ready: 960_000 } },
    finds: ['Length problem'],
    says: /at 1000000 no more/,
  },
  'buried a moment ago': {
    facts: { depth: { ...noJobs, buried: 1 }, lastBuriedMs: 3 * MINUTE },
    finds: ['Buried warning'],
    says: /1 job failed for good and is kept \(buried\), the last of them 3m ago/,
    remedy: /millhand retry mail --all --namespace shop/,
  },
  'enqueues lost a moment ago': {
    facts: { depth: { ...noJobs, counts: { ...noJobs.counts, vanished: 37 } }, lastVanishedMs: 3 * MINUTE },
    finds: ['Lost problem'],
    says: /lost at least 37 enqueues that it had acknowledged, found 3m ago/,
    remedy: /durability replicated/,
  },
  'enqueues lost long ago': {
    facts: {
      depth: { ...noJobs, counts: { ...noJobs.counts, vanished: 1 } },
      lastVanishedMs: 72 * 60 * MINUTE,
    },
    finds: ['Lost note'],
    says: /at least 1 enqueue that/,
  },
  'buried long ago': {
    facts: { depth: { ...noJobs, buried: 7 }, lastBuriedMs: 90 * MINUTE },
    finds: ['Buried note'],
  },
}

test.each(Object.entries(rows))('%s', (_what, { facts: given, finds, says, remedy }) => {
  const found = queueFindings({ ...facts, ...given })
  expect(found.map(({ check, severity }) => `${check} ${severity}`)).toEqual(finds)
  for (const each of found) expect(each.remedy).toBeTruthy()
  if (says) expect(found[0]?.message).toMatch(says)
  if (remedy) expect(found[0]?.remedy).toMatch(remedy)
})

test('commands need no namespace where it is the usual one', () => {
  const [found] = queueFindings({ ...facts, option: '', depth: { ...noJobs, paused: true } })
  expect(found?.remedy).toBe('millhand resume mail')
})

test.each([
  ['NEWER_LAYOUT', /^upgrade/],
  ['OLDER_LAYOUT', /^keep workers of the older release/],
] as const)('a queue of another layout is a problem: %s', (code, remedy) => {
  const found = layoutFinding(new QueueRefused(code, 'its layout is another one'))
  expect(found).toMatchObject({ check: 'Layout', severity: 'problem', message: 'its layout is another one' })
  expect(found.remedy).toMatch(remedy)
})

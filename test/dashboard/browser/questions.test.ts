// The five questions with which people come to a dashboard, each answered with the keyboard alone.
import { connectRedis, newJob, openQueue, queueName } from 'millhand/queue'
import type { Browser, Page } from 'playwright-core'
import { eventually } from '../../eventually.ts'
import { redisUrl } from '../../redis.ts'
import { NAMESPACE } from '../served.ts'
import { look, openBrowser, type Seen } from './browser.ts'
import { fullScene, type Scene } from './scene.ts'

const PATIENCE_MS = 180_000

let browser: Browser
let scene: Scene
let seen: Seen
let page: Page

beforeAll(async () => {
  browser = await openBrowser()
  scene = await fullScene()
}, PATIENCE_MS)
afterAll(async () => {
  await browser?.close()
  await scene?.stop()
}, PATIENCE_MS)
beforeEach(async () => {
  seen = await look(browser, scene.served)
  page = seen.page
})
afterEach(async () => {
  const { complaints } = seen
  await seen.close()
  expect(complaints).toEqual([])
})

const ask = (question: string, run: () => Promise<void>) => test(question, run, PATIENCE_MS)
const queue = () => scene.queue ?? ''
const press = async (...keys: string[]) => {
  for (const key of keys) await page.keyboard.press(key)
}
const rows = () => page.locator('table.jobs tbody tr')
const rowsAre = (wanted: number) =>
  eventually(async () => (await rows().count()) === wanted, { what: `${wanted} jobs in the list` })

/** In the search of the top, or in the filter of a page that has one. */
async function find(filter: string): Promise<void> {
  await press('/')
  await page.keyboard.type(filter)
  await press('Enter')
  await page.locator('main').focus()
}

/** Presses Tab until the control with this name has the focus. */
async function tabTo(name: string | RegExp): Promise<void> {
  const focused = page.locator('a:focus, button:focus, input:focus, select:focus')
  const isThere = async () => {
    if ((await focused.count()) === 0) return false
    const text = (await focused.getAttribute('aria-label')) ?? (await focused.innerText()).trim()
    return typeof name === 'string' ? text === name : name.test(text)
  }
  const named = page.locator('a, button, input, select').filter({ hasText: name })
  await named.or(page.getByLabel(name)).first().waitFor()
  for (let n = 0; n < 200; n += 1) {
    if (await isThere()) return
    await press('Tab')
  }
  throw new Error(`Tab never led to ${name}`)
}

ask('which is the one failed job of order 8812?', async () => {
  await find('state:failed "8812"')
  await rowsAre(1)
  await press('j', 'Enter')
  await page.getByText('connect ETIMEDOUT 10.0.3.7:587').first().waitFor()
  expect(new URL(page.url()).searchParams.get('open')).toBe(`${queue()}/${scene.jobs.order8812}`)
})

ask('why does this job not run?', async () => {
  await find(`id:${scene.jobs.blocked}`)
  await rowsAre(1)
  await press('j', 'Enter')
  const why = page.getByRole('region', { name: 'Why is it not running?' })
  await why.getByText(/acme/).first().waitFor()
})

ask('everything that failed with this error in the last hour: again, please', async () => {
  await find('state:failed "no such user"')
  await rowsAre(5)
  await press('j', 'Enter')
  await tabTo('All that failed so')
  await press('Enter')
  await page.getByRole('heading', { name: 'TypeError', level: 1 }).waitFor()
  await tabTo('Show them with a filter')
  await press('Enter')
  await rowsAre(5)
  await press('/', 'End')
  await page.keyboard.type(' since:1h')
  const answered = page.waitForResponse(/since(%3A|:)1h/) // until then the five of before may be shown
  await press('Enter')
  await page.locator('main').focus()
  await answered
  await rowsAre(5)
  await press('X')
  await page.getByText('5 selected').waitFor()
  await press('R')
  await page.getByRole('dialog', { name: 'Retry 5 jobs?' }).waitFor()
  await page.keyboard.type('the users exist now')
  await tabTo('Retry 5')
  await press('Enter')
  await page.getByText('5 jobs were retried.').waitFor()
  expect(new URL(page.url()).searchParams.get('f')).toMatch(/^state:buried error:v1:\w+ since:1h$/)
})

ask('what is slow today?', async () => {
  await press('g', 'q')
  await tabTo(queue().slice(NAMESPACE.length + 1))
  await press('Enter')
  await tabTo('24h')
  await press('Enter')
  await page.getByText('the last 24 hours').waitFor()
  const tasks = page.getByRole('region', { name: 'History' }).getByRole('table').last()
  // Workers tell what they added up with their heartbeat.
  await tasks.getByRole('row', { name: /^throws/ }).waitFor({ timeout: 60_000 })
  const times = await tasks.locator('tbody td:nth-child(5)').allInnerTexts()
  expect(times.length).toBeGreaterThan(0)
  expect(times[0]).toMatch(/ms|s/)
})

ask('which pod ate the memory?', async () => {
  await outOfMemory({ pod: 'thumbnails-7f9c-x2x', maxRssBytes: 512 * 1024 * 1024 })
  await press('g', 'e')
  await page.getByRole('row', { name: /out-of-memory/ }).waitFor()
  await tabTo(/out-of-memory/)
  await press('Enter')
  await page.getByRole('heading', { level: 1, name: /out-of-memory/ }).waitFor()
  await tabTo('ate-it')
  await press('Enter')
  await page.getByText('pod thumbnails-7f9c-x2x').waitFor()
  await page.getByText('memory 512 MiB').waitFor()
})

/** As a worker in that pod settles it. */
async function outOfMemory(facts: { pod: string; maxRssBytes: number }): Promise<void> {
  const redis = connectRedis(redisUrl())
  try {
    const mail = openQueue(redis, queueName(NAMESPACE, queue().slice(NAMESPACE.length + 1)))
    const nothing = { podUid: 'u', poolUid: '', node: '', isolation: 'Fork', isolationNote: '', version: '' }
    await mail.register({ ...nothing, worker: 'oom:1', process: 'oom', pod: facts.pod, slots: 1 })
    await mail.enqueue([newJob('resize', null, { id: 'ate-it', priority: 'urgent' })])
    const [claim] = (await mail.settleAndClaim({ worker: 'oom:1', wanted: 1 })).claims
    if (claim?.id !== 'ate-it') throw new Error('the job was not claimed')
    const { id, token } = claim
    const record = { outcome: 'out-of-memory', group: 'v1:00000000000000aa', worker: 'oom:1', ...facts }
    await mail.settleAndClaim({
      worker: 'oom:1',
      settlements: [{ id, token, verdict: 'terminal', text: JSON.stringify(record) }],
    })
    await mail.deregister('oom:1')
  } finally {
    redis.close()
  }
}

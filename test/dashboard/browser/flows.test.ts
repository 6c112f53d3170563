// What people come for, as they do it: with the keyboard, in a real browser, against real queues.
import { connect } from 'millhand/client'
import type { Browser, Locator, Page } from 'playwright-core'
import { eventually } from '../../eventually.ts'
import { redisUrl } from '../../redis.ts'
import { NAMESPACE } from '../served.ts'
import { look, openBrowser, type Seen, visit } from './browser.ts'
import { fullScene, type Scene } from './scene.ts'

const PATIENCE_MS = 120_000

let browser: Browser
let scene: Scene
let seen: Seen
let page: Page
let queue: string

beforeAll(async () => {
  browser = await openBrowser()
}, PATIENCE_MS)
afterAll(() => browser?.close())
beforeEach(async () => {
  scene = await fullScene()
  queue = scene.queue ?? ''
  seen = await look(browser, scene.served)
  page = seen.page
}, PATIENCE_MS)
afterEach(async () => {
  const complaints = seen?.complaints ?? []
  await seen?.close()
  await scene?.stop()
  expect(complaints).toEqual([])
})

const job = (name: string) => `job/${queue}/${scene.jobs[name]}`
const rows = () => page.locator('table.jobs tbody tr')
const counts = (of: Locator, wanted: number) =>
  eventually(async () => (await of.count()) === wanted, { what: `${wanted} of ${of}` })
const shows = (text: string | RegExp) => page.getByText(text).first().waitFor()

test(
  'the keyboard alone finds the failed job of an order and retries it',
  async () => {
    await page.keyboard.press('g')
    await page.keyboard.press('j')
    await page.getByRole('heading', { name: 'Jobs' }).waitFor()
    await page.getByLabel('Queue').selectOption(queue)
    await page.keyboard.press('Tab')
    await page.locator('main').focus()
    await page.keyboard.press('/')
    await page.keyboard.type('state:failed "8812"')
    await page.keyboard.press('Enter')
    await counts(page.locator('table.jobs tbody tr'), 1)
    await page.locator('main').focus()
    await page.keyboard.press('j')
    await page.keyboard.press('Enter')
    await shows('connect ETIMEDOUT 10.0.3.7:587')
    expect(new URL(page.url()).pathname).toBe(`/${job('order8812')}`)
    await page.keyboard.press('R')
    await page.getByRole('dialog', { name: 'Retry this job?' }).waitFor()
    await page.getByRole('button', { name: 'Retry', exact: true }).last().focus()
    await page.keyboard.press('Enter')
    await shows('1 job was retried.')
    // The worker is busy with other jobs.
    await shows('Why is it not running?')
  },
  PATIENCE_MS,
)

test(
  'a job that waits says why',
  async () => {
    await visit(page, job('ready'))
    const card = page.getByRole('region', { name: 'Why is it not running?' })
    await card.getByText(/slot/).first().waitFor()
    await visit(page, job('retrying'))
    await page
      .getByRole('region', { name: 'Why is it not running?' })
      .getByText(/attempt/i)
      .first()
      .waitFor()
  },
  PATIENCE_MS,
)

test(
  'a list does not move by itself: new jobs are counted, and shown when they are asked for',
  async () => {
    await visit(page, `jobs?queue=${queue}&f=state:ready`)
    const before = await rows().allInnerTexts()
    const client = connect({ redis: redisUrl(), namespace: NAMESPACE })
    const name = queue.slice(NAMESPACE.length + 1)
    for (let n = 0; n < 3; n += 1) await client.queue(name).enqueue('noop', undefined as never)
    client.close()
    const pill = page.getByRole('button', { name: '3 new' })
    await pill.waitFor()
    expect(await rows().count()).toBe(before.length)
    await page.locator('main').focus()
    await page.keyboard.press('.')
    await counts(rows(), before.length + 3)
    expect(await pill.count()).toBe(0)
  },
  PATIENCE_MS,
)

test(
  'selected jobs are retried together, and the list says what became of them',
  async () => {
    await visit(page, `jobs?queue=${queue}&f=state:buried "no such user"`)
    expect(await rows().count()).toBe(5)
    await page.getByRole('checkbox', { name: 'Select all that are shown' }).check()
    await shows('5 selected')
    await page.keyboard.press('R')
    await page.getByRole('button', { name: 'Retry 5' }).click()
    await shows('5 jobs were retried.')
    await counts(page.locator('table.jobs .s-ready'), 5)
  },
  PATIENCE_MS,
)

test(
  'numbers follow what happens without a request by the page',
  async () => {
    await visit(page, `queues/${queue}`)
    const asked: string[] = []
    page.on('request', (request) => asked.push(new URL(request.url()).pathname))
    const client = connect({ redis: redisUrl(), namespace: NAMESPACE })
    for (let n = 0; n < 4; n += 1)
      await client
        .queue(queue.slice(NAMESPACE.length + 1))
        .enqueue('noop', undefined as never, { delayMs: 3_600_000 })
    client.close()
    await page.locator('dd', { hasText: /^6/ }).first().waitFor()
    expect(asked.filter((path) => path.endsWith('/snapshot'))).toEqual([])
  },
  PATIENCE_MS,
)

test(
  'where a proxy holds events back, the numbers are asked for',
  async () => {
    const held = await look(browser, scene.served)
    await held.page.route('**/api/v1/stream', () => {})
    await visit(held.page, './')
    await held.page.getByText(/^polling/).waitFor()
    await held.close()
  },
  PATIENCE_MS,
)

test(
  'a queue is paused and resumed, with a question before',
  async () => {
    await visit(page, `queues/${queue}`)
    await page.getByRole('button', { name: 'Pause', exact: true }).click()
    await page.getByLabel(/^Why/).fill('the mail server is down')
    await page.getByRole('dialog').getByRole('button', { name: 'Pause' }).click()
    await page.locator('.page-head .state', { hasText: 'paused' }).waitFor()
    await page.getByRole('button', { name: 'Resume', exact: true }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Resume' }).click()
    await page.locator('.page-head .state', { hasText: 'working' }).waitFor()
  },
  PATIENCE_MS,
)

test(
  'times are local, and UTC on demand; the theme is the system’s, and another on demand',
  async () => {
    await visit(page, job('order8812'))
    const zone = page.locator('.foot')
    expect(await zone.innerText()).toMatch(/UTC\+[12]/)
    await page.locator('main').focus()
    await page.keyboard.press('z')
    await zone.getByText(/\d UTC$/).waitFor()
    const background = () => page.evaluate('getComputedStyle(document.body).backgroundColor')
    const light = await background()
    await page.keyboard.press('t')
    await page.keyboard.press('t')
    expect(await background()).not.toBe(light)
    await page.reload()
    await page.locator('main').waitFor()
    expect(await background()).not.toBe(light)
  },
  PATIENCE_MS,
)

test(
  'a job that is not there says so, and leads to those that are',
  async () => {
    await page.goto(`${scene.served.url}/job/${queue}/no-such-job`)
    await shows('This job is not there, or not any more')
    await page.getByRole('link', { name: 'Show the jobs that are there' }).click()
    await page.getByRole('heading', { name: 'Jobs' }).waitFor()
    seen.complaints.length = 0
  },
  PATIENCE_MS,
)

test(
  'every control has a name for a screen reader',
  async () => {
    for (const address of ['./', `jobs?queue=${queue}`, job('order8812'), `queues/${queue}`, 'workers']) {
      await visit(page, address)
      const tree = await page.locator('body').ariaSnapshot()
      expect(tree).not.toMatch(/^\s*- (button|link|textbox|combobox|checkbox|searchbox)\s*(:|$|\[)/m)
      expect(tree).toMatch(/- main/)
      expect(tree).toMatch(/- heading .* \[level=1\]/)
    }
  },
  PATIENCE_MS,
)

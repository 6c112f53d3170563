// Takes the pictures of docs/dashboard.md: the examples run as `up` runs them, with jobs that are done, wait, run and fail, schedules
// and a flow, and a real Chromium looks at each page, light and dark.
//   node --conditions=millhand-source test/dashboard/browser/pictures.ts
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Local, startLocal } from '@millhand/cli/local'
import { type Client, connect, flow } from 'millhand/client'
import { connectRedis, openQueue, parseFilter, queueName } from 'millhand/queue'
import type { Browser } from 'playwright-core'
import sharp from 'sharp'
import { ordersFor, photos } from '../../../examples/thumbnails/work.ts'
import { eventually } from '../../eventually.ts'
import { openBrowser } from './browser.ts'

const EXAMPLES = ['thumbnails', 'orders', 'reports'].map((name) =>
  fileURLToPath(new URL(`../../../examples/${name}/`, import.meta.url)),
)
const PICTURES = fileURLToPath(new URL('../../../docs/pictures/', import.meta.url))
const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const QUEUE = 'thumbnails'
const SIZE = { width: 1280, height: 800 }
/** A rate needs two looks, a second apart, and a chart is drawn after its page. */
const TWO_LOOKS_MS = 2_500
const ONCE = { maxAttempts: 1 }

/** A picture shows no folder and no machine of whoever took it. */
const NEUTRAL = `
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (texts.nextNode())
    texts.currentNode.data = texts.currentNode.data
      .replaceAll(${JSON.stringify(ROOT)}, '/app/')
      .replace(${JSON.stringify(hostname())}, 'laptop')`

const scratch = mkdtempSync(join(tmpdir(), 'millhand-pictures-'))
const env = { ...process.env, THUMBNAILS_OUT: join(scratch, 'out') }
let local: Local | undefined
let browser: Browser | undefined
try {
  local = await startLocal({
    paths: EXAMPLES,
    reload: false,
    dataFolder: join(scratch, 'redis'),
    dashboardPort: 0,
    outside: { workingFolder: scratch, env },
  })
  const pages = await work(local)
  browser = await openBrowser()
  mkdirSync(PICTURES, { recursive: true })
  for (const theme of ['light', 'dark'] as const) await take(browser, local.dashboardUrl ?? '', pages, theme)
} finally {
  await browser?.close()
  void local?.stop()
  await local?.stop()
  rmSync(scratch, { recursive: true, force: true })
}

/** Jobs of every kind; answers the addresses of the pages by the names of their pictures. */
async function work({ redisUrl, namespace }: Local): Promise<Record<string, string>> {
  const client = connect({ redis: redisUrl, namespace })
  const redis = connectRedis(redisUrl)
  const queue = openQueue(redis, queueName(namespace, QUEUE))
  const jobs = client.queue(QUEUE)
  const files = await photos()
  const thumbnail = (file: string, width: number) => ({ file, width, out: `${file}-${width}.webp` })
  const failed = await jobs.enqueue('thumbnail', thumbnail('order-8812.jpg', 320) as never, ONCE)
  for (let order = 8_813; order < 8_820; order += 1)
    await jobs.enqueue('thumbnail', thumbnail(`order-${order}.jpg`, 320) as never, ONCE)
  for (const width of [0, 9_000, -1]) await jobs.enqueue('thumbnail', thumbnail('cat.jpg', width) as never)
  for (const [n] of files.slice(0, 4).entries())
    await jobs.enqueue('thumbnail', thumbnail(`later-${n}.jpg`, 80) as never, { delayMs: 3_600_000 })
  await jobs.enqueueMany(ordersFor(files, 2))
  await eventually(async () => (await queue.depth()).buried >= 11, { withinMs: 120_000, what: 'jobs failed' })
  const fingerprint = (await queue.errors.list()).groups.at(-1)?.group ?? ''
  await act(queue, 'state:delayed task:thumbnail since:1h', 'cancel', 'the photos were taken back')
  await orderWithPhotos(client, files)
  await jobs.enqueueMany(ordersFor(files, 20))
  const { schedules } = openQueue(redis, queueName(namespace, 'reports'))
  await schedules.run('nightly')
  const waits = await jobs.enqueue('thumbnail', thumbnail('last.jpg', 80) as never)
  client.close()
  redis.close()
  const key = `${namespace}/${QUEUE}`
  return {
    overview: '',
    jobs: `jobs?queue=${key}`,
    job: `job/${key}/${failed.id}`,
    why: `job/${key}/${waits.id}`,
    queue: `queues/${key}`,
    errors: `errors?queue=${key}`,
    error: `errors/${key}/${fingerprint}`,
    workers: `workers?queue=${key}`,
    actions: `actions?queue=${key}`,
    beside: `jobs?queue=${key}&f=state:buried&open=${key}/${failed.id}`,
    schedules: `schedules?queue=${namespace}/reports`,
    schedule: `schedules/${namespace}/reports/nightly`,
    flows: `flows?queue=${namespace}/billing`,
    flow: `flows/${namespace}/billing/order-8812`,
  }
}

/** One that waits for its photos, one that is done, and one that failed. */
async function orderWithPhotos(client: Client, files: readonly string[]): Promise<void> {
  const places = [
    { number: 8_810, to: 'Rome' },
    { number: 8_811, to: 'the Moon' },
    { number: 8_812, to: 'Paris' },
  ]
  for (const { number, to } of places) {
    const order = { number, to, cents: 995 }
    const plan = flow(`order-${number}`)
    const paid = plan.add('billing', 'pay', order, { compensate: { task: 'refund' } })
    const parcel = plan.add('stock', 'reserve', order, { after: [paid], compensate: { task: 'release' } })
    const photo = (file: string) => ({ file, width: 160, out: `${number}-${file}.webp` })
    const isOpen = number === 8_812
    const shown = isOpen
      ? [
          plan.map(QUEUE, 'thumbnail', files.slice(0, 3).map(photo), {
            name: 'photo',
            after: [paid],
            delayMs: 3_600_000,
          }),
        ]
      : []
    plan.add('mail', 'write', { to, text: 'thank you' }, { name: 'invoice', after: [paid] })
    const shipped = plan.add('stock', 'ship', { parcel: parcel.result, to }, { after: shown })
    plan.add('mail', 'write', { to, text: shipped.result })
    await client.start(plan)
  }
}

async function act(
  queue: ReturnType<typeof openQueue>,
  filter: string,
  verb: 'cancel' | 'retry',
  reason: string,
): Promise<void> {
  const asked = { verb, filter: parseFilter(filter, Date.now()) }
  const { count } = await queue.actions.count(asked)
  await queue.actions.run(await queue.actions.create({ ...asked, who: 'ana', reason, total: count }))
}

async function take(
  from: Browser,
  address: string,
  pages: Record<string, string>,
  theme: 'light' | 'dark',
): Promise<void> {
  const context = await from.newContext({
    viewport: SIZE,
    colorScheme: theme,
    timezoneId: 'UTC',
    reducedMotion: 'reduce',
  })
  const page = await context.newPage()
  await page.goto(address)
  for (const [name, path] of Object.entries(pages)) {
    await page.goto(new URL(`/${path}`, address).href)
    await page.locator('main').waitFor()
    await eventually(async () => (await page.locator('.loading').count()) === 0, {
      what: `${name} has loaded`,
    })
    await page.waitForTimeout(TWO_LOOKS_MS)
    await page.evaluate(NEUTRAL)
    const picture = await page.screenshot()
    await sharp(picture)
      .webp({ quality: 82, effort: 6 })
      .toFile(join(PICTURES, `${name}-${theme}.webp`))
  }
  await context.close()
}

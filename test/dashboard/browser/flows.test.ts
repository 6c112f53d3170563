// What people come for, as they do it: with the keyboard, in a real browser, against real queues.
import { connect } from 'millhand/client'
import { connectRedis, openQueue } from 'millhand/queue'
import type { Browser, Locator, Page } from 'playwright-core'
import { eventually } from '../../eventually.ts'
import { redisUrl } from '../../redis.ts'
import { NAMESPACE } from '../served.ts'
import { look, openBrowser, type Seen, visit } from './browser.ts'
import { asksForRest, fullScene, type Scene } from './scene.ts'

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

const it = (does: string, run: () => Promise<void>) => test(does, run, PATIENCE_MS)
const job = (name: string) => `job/${queue}/${scene.jobs[name]}`
const rows = () => page.locator('table.jobs tbody tr')
const counts = (of: Locator, wanted: number) =>
  eventually(async () => (await of.count()) === wanted, { what: `${wanted} of ${of}` })
const shows = (text: string | RegExp) => page.getByText(text).first().waitFor()

it('the keyboard alone finds the failed job of an order and retries it', async () => {
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
  expect(new URL(page.url()).searchParams.get('open')).toBe(`${queue}/${scene.jobs.order8812}`)
  await page.keyboard.press('R')
  await page.getByRole('dialog', { name: 'Retry this job?' }).waitFor()
  await page.getByRole('button', { name: 'Retry', exact: true }).last().focus()
  await page.keyboard.press('Enter')
  await shows('The job was retried.')
  // The worker is busy with other jobs.
  await shows('Why is it not running?')
})

it('the log of a running job follows what it writes, as text, and what is looked for in it', async () => {
  const client = connect({ redis: redisUrl(), namespace: NAMESPACE })
  const lines = ['sent to <b>ana</b>', '\u001b[31mred\u001b[0m', 'password=hunter2-hunter2']
  const { id } = await client.queue(queue.slice(NAMESPACE.length + 1)).enqueue('repeats', { lines } as never)
  client.close()
  await visit(page, `job/${queue}/${id}`)
  await page.getByRole('link', { name: 'Log' }).click()
  await page.getByText('The job is ready: its next attempt is followed.').waitFor()
  // A slot becomes free.
  await scene.served.call('POST', `queues/${queue}/jobs/${scene.jobs.held}/cancel`)
  const log = page.getByRole('region', { name: 'Output as it comes' })
  await log.getByText('sent to <b>ana</b>').first().waitFor()
  await page.getByText('Live', { exact: true }).waitFor()
  expect(await log.innerText()).toMatch(/^red$/m)
  expect(await log.innerText()).not.toContain('hunter2')
  const seen = await log.locator('span').count()
  await eventually(async () => (await log.locator('span').count()) > seen, { what: 'lines go on coming' })
  await page.getByLabel('Only lines with').fill('ana')
  await eventually(async () => !(await log.innerText()).includes('red'), { what: 'only lines with ana' })
  await page.getByLabel('Only lines with').fill('')
  const isLong = () => log.evaluate((frame) => frame.scrollHeight > 2 * frame.clientHeight)
  await eventually(isLong, { what: 'more lines than fit' })
  await log.evaluate((frame) => {
    frame.scrollTop = 0
  })
  await page.getByRole('button', { name: 'To the end' }).click()
  await page.locator('main').focus()
  await page.keyboard.press('C')
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel', exact: true }).last().click()
  await page.getByText('The job is cancelled: this was its output.').waitFor()
  await log.getByText('sent to').first().waitFor()
})

it('a job that waits says why', async () => {
  await visit(page, job('ready'))
  const card = page.getByRole('region', { name: 'Why is it not running?' })
  await card.getByText(/slot/).first().waitFor()
  await visit(page, job('retrying'))
  await page
    .getByRole('region', { name: 'Why is it not running?' })
    .getByText(/attempt/i)
    .first()
    .waitFor()
})

it('a job that a limit holds back is counted as blocked, and its key and tags lead to others', async () => {
  await visit(page, './')
  const row = page.getByRole('row', { name: new RegExp(queue.slice(NAMESPACE.length + 1)) }).first()
  await row.getByText('1 blocked').waitFor()
  await visit(page, `queues/${queue}`)
  await page.getByRole('region', { name: 'Numbers' }).getByText('1 blocked').waitFor()
  await visit(page, job('blocked'))
  const why = page.getByRole('region', { name: 'Why is it not running?' })
  await why
    .getByText(/for \d+/)
    .first()
    .waitFor()
  expect(await why.innerText()).not.toMatch(/since .* ago/)
  await page.getByRole('link', { name: 'order:9' }).click()
  await counts(rows(), 1)
  expect(new URL(page.url()).searchParams.get('f')).toBe('tag:order:9')
  await rows().getByRole('link', { name: 'acme' }).click()
  await counts(rows(), 2)
  expect(new URL(page.url()).searchParams.get('f')).toBe('key:acme')
})

it('a rest that a task asked for is ended on the page of its job, and on that of its queue', async () => {
  const redis = connectRedis(redisUrl())
  const mail = openQueue(redis, queue.replace('/', '.'))
  const end = async () => {
    await page.getByRole('button', { name: 'End the rest of the key slow' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'End the rest' }).click()
    await page.getByText('The rest of the key slow has ended.').first().waitFor()
    expect((await mail.rests()).total).toBe(0)
  }
  await asksForRest(mail, { id: 'resting-1', key: 'slow', pause: 'key' })
  await visit(page, `job/${queue}/resting-1`)
  await end()
  await mail.cancel('resting-1')
  await asksForRest(mail, { id: 'resting-2', key: 'slow', pause: 'key' })
  await visit(page, `queues/${queue}`)
  await page.getByRole('region', { name: 'Rests' }).getByText('slow').waitFor()
  await end()
  await mail.cancel('resting-2')
  redis.close()
})

it('a list does not move by itself: new jobs are counted, and shown when they are asked for', async () => {
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
})

it('jobs of several queues are one list, and selected ones are cancelled each in its queue', async () => {
  await visit(page, 'jobs?f=state:ready task:succeeds')
  const queues = async () => new Set(await rows().locator('td:nth-child(4)').allInnerTexts())
  await eventually(async () => (await queues()).size === 2, { what: 'jobs of two queues' })
  const before = await rows().count()
  await page.locator('main').focus()
  await page.keyboard.press('X')
  await shows(`${before} selected`)
  await page.keyboard.press('C')
  await page.getByRole('button', { name: `Cancel ${before}` }).click()
  await counts(page.locator('table.jobs .s-cancelled'), before)
  await page.getByLabel('Queue').selectOption(queue)
  await page.getByText('No job is like that').waitFor()
})

it('a job opens beside the list, which keeps its place, and Escape closes it', async () => {
  await visit(page, `jobs?queue=${queue}&f=state:buried`)
  await counts(rows(), 6)
  await page.locator('main').focus()
  await page.keyboard.press('j')
  await page.keyboard.press('j')
  await page.keyboard.press('Enter')
  const beside = page.getByRole('region', { name: /^Job / })
  await beside.getByText('TypeError').first().waitFor()
  await counts(rows(), 6)
  expect(await rows().nth(1).getAttribute('data-opened')).toBe('true')
  const opened = new URL(page.url()).searchParams.get('open')
  expect(await beside.getAttribute('aria-label')).toBe(`Job ${opened?.split('/')[2]}`)
  await page.keyboard.press('k')
  await page.keyboard.press('Enter')
  await eventually(async () => (await rows().nth(0).getAttribute('data-opened')) === 'true', {
    what: 'the job above is open',
  })
  // Several jobs ran at once, so each of them can be the one that was buried last.
  const above = new URL(page.url()).searchParams.get('open')?.split('/')[2]
  await page.getByRole('region', { name: `Job ${above}` }).waitFor()
  const [message] = await eventually(async () => /no such user \d/.exec(await beside.innerText()), {
    what: 'its error is shown',
  })
  await beside.getByRole('link', { name: /^Payload/ }).click()
  await beside.getByText(message).first().waitFor()
  await page.reload()
  await beside.getByText(message).first().waitFor()
  await page.keyboard.press('R')
  await page.getByRole('dialog', { name: 'Retry this job?' }).waitFor()
  await page.keyboard.press('Escape')
  await page.getByRole('checkbox', { name: 'Select all that are shown' }).check()
  await page.locator('main').focus()
  await page.keyboard.press('R')
  await page.getByRole('dialog', { name: 'Retry 6 jobs?' }).waitFor()
  await page.keyboard.press('Escape')
  await page.locator('main').focus()
  await page.keyboard.press('Escape')
  await counts(page.locator('[data-selected]'), 0)
  expect(await beside.count()).toBe(1)
  await page.keyboard.press('Escape')
  await counts(beside, 0)
  expect(new URL(page.url()).searchParams.get('open')).toBeNull()
  await page.setViewportSize({ width: 1000, height: 800 })
  await rows().first().getByRole('link').first().click()
  await page.getByRole('heading', { level: 1, name: 'throws' }).waitFor()
  expect(new URL(page.url()).pathname).toContain(`/job/${queue}/`)
})

it('a filter gets a name and columns are chosen, both kept in this browser', async () => {
  await visit(page, `jobs?queue=${queue}&f=state:buried`)
  await page.getByRole('button', { name: 'Views' }).click()
  await page.getByLabel('Name of this view').fill('what <b>failed</b>')
  await page.keyboard.press('Enter')
  await visit(page, 'jobs')
  await page.getByRole('button', { name: 'Views' }).click()
  await page.getByRole('link', { name: 'what <b>failed</b>' }).click()
  await counts(rows(), 6)
  expect(new URL(page.url()).searchParams.get('queue')).toBe(queue)
  await page.getByRole('button', { name: 'Columns' }).click()
  await page.getByRole('checkbox', { name: 'Tries' }).uncheck()
  await page.keyboard.press('Escape')
  const header = page.getByRole('columnheader', { name: 'Tries' })
  await counts(header, 0)
  await page.reload()
  await counts(rows(), 6)
  expect(await header.count()).toBe(0)
  await page.getByRole('button', { name: 'Views' }).click()
  await page.getByRole('button', { name: 'Delete the view what <b>failed</b>' }).click()
  await page.reload()
  await page.getByRole('button', { name: 'Views' }).click()
  await page.getByLabel('Name of this view').waitFor()
  expect(await page.getByRole('link', { name: 'what <b>failed</b>' }).count()).toBe(0)
})

it('selected jobs are retried together, and the list says what became of them', async () => {
  await visit(page, `jobs?queue=${queue}&f=state:buried "no such user"`)
  expect(await rows().count()).toBe(5)
  await page.getByRole('checkbox', { name: 'Select all that are shown' }).check()
  await shows('5 selected')
  await page.keyboard.press('R')
  await page.getByRole('button', { name: 'Retry 5' }).click()
  await shows('5 jobs were retried.')
  await counts(page.locator('table.jobs .s-ready'), 5)
})

it('everything that failed with one error is retried together, and the record says who and why', async () => {
  await visit(page, `errors?queue=${queue}`)
  await page
    .getByRole('row', { name: /no such user/ })
    .getByRole('link')
    .first()
    .click()
  await page.getByRole('heading', { name: 'TypeError', level: 1 }).waitFor()
  await page.getByRole('button', { name: 'Retry all' }).click()
  const question = page.getByRole('dialog', { name: 'Retry 5 jobs?' })
  await question.getByLabel(/^Why/).fill('the users exist now')
  await question.getByRole('button', { name: 'Retry 5' }).click()
  await shows('5 jobs were retried.')
  await visit(page, `actions?queue=${queue}`)
  const row = page.getByRole('row', { name: /the users exist now/ })
  await row.getByText('5 of 5 done').waitFor()
  await row.getByText(/state:buried error:v1:/).waitFor()
})

it('what was deleted comes back within a minute', async () => {
  await visit(page, `jobs?queue=${queue}&f=state:buried`)
  await page.getByRole('checkbox', { name: `Select job ${scene.jobs.order8812}` }).check()
  await page.locator('main').focus()
  await page.keyboard.press('D')
  await page.getByRole('button', { name: 'Delete 1' }).click()
  await shows('1 job was deleted.')
  await counts(rows(), 5)
  await page.getByRole('button', { name: 'Undo' }).click()
  await shows('1 deleted job came back.')
  await visit(page, job('order8812'))
  await page.getByRole('button', { name: 'Retry' }).waitFor()
})

it('all that match a filter, also beyond the page, are cancelled after the number was typed', async () => {
  const client = connect({ redis: redisUrl(), namespace: NAMESPACE })
  const many = Array.from({ length: 1_200 }, () => ({ task: 'noop', options: { delayMs: 3_600_000 } }))
  await client.queue(queue.slice(NAMESPACE.length + 1)).enqueueMany(many as never)
  client.close()
  await visit(page, `jobs?queue=${queue}&f=task:noop`)
  await page.getByRole('checkbox', { name: 'Select all that are shown' }).check()
  await page.getByRole('button', { name: 'Cancel all' }).click()
  const question = page.getByRole('dialog', { name: 'Cancel 1,200 jobs?' })
  const verb = question.getByRole('button', { name: 'Cancel 1,200' })
  expect(await verb.isDisabled()).toBe(true)
  await question.getByLabel('Type 1,200 to go on').fill('1199')
  expect(await verb.isDisabled()).toBe(true)
  await question.getByLabel('Type 1,200 to go on').fill('1200')
  await verb.click()
  await shows('1,200 jobs were cancelled.')
})

it('numbers follow what happens without a request by the page', async () => {
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
})

it('where a proxy holds events back, the numbers are asked for', async () => {
  const held = await look(browser, scene.served)
  await held.page.route('**/api/v1/stream', () => {})
  await visit(held.page, './')
  await held.page.getByText(/^polling/).waitFor()
  await held.close()
})

it('a queue is paused and resumed, with a question before', async () => {
  await visit(page, `queues/${queue}`)
  await page.getByRole('button', { name: 'Pause', exact: true }).click()
  await page.getByLabel(/^Why/).fill('the mail server is down')
  await page.getByRole('dialog').getByRole('button', { name: 'Pause' }).click()
  await page.locator('.page-head .state', { hasText: 'paused' }).waitFor()
  await page.getByRole('button', { name: 'Resume', exact: true }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Resume' }).click()
  await page.locator('.page-head .state', { hasText: 'working' }).waitFor()
})

it('a queue shows what it did, over the time in the address, as charts and as tables', async () => {
  await visit(page, `queues/${queue}`)
  const history = page.getByRole('region', { name: 'History' })
  const attempts = history.getByRole('figure', { name: 'Attempts a minute' })
  // Workers tell what they added up with their heartbeat.
  await attempts.locator('canvas').waitFor()
  await attempts.getByText('As a table').click()
  const failed = attempts.locator('tbody td:last-child', { hasText: /[1-9]/ })
  await eventually(async () => (await failed.count()) > 0, { what: 'the failed attempts are in the table' })
  await history.getByRole('link', { name: '24h' }).click()
  await history.getByText('the last 24 hours').waitFor()
  expect(new URL(page.url()).search).toBe('?range=24h')
  await page.reload()
  await history.getByText('the last 24 hours').waitFor()
  await attempts.locator('canvas').waitFor()
  expect(await history.getByRole('link', { name: '24h' }).getAttribute('aria-current')).toBe('true')
})

it('the overview shows how its numbers went over the last hour', async () => {
  const redis = connectRedis(redisUrl())
  const mail = openQueue(redis, queue.replace('/', '.'))
  await mail.sample(await mail.depth())
  redis.close()
  await visit(page, './')
  const ready = page.getByRole('img', { name: 'Ready jobs over the last hour' })
  await ready.locator('polyline').waitFor({ state: 'attached' })
  expect(await page.locator('.six .spark').count()).toBe(6)
})

it('a schedule is found by the keyboard, run now, paused, and deleted after a question', async () => {
  await visit(page, './')
  await page.keyboard.press('g')
  await page.keyboard.press('s')
  await page.getByRole('heading', { name: 'Schedules' }).waitFor()
  await page.getByLabel('Queue').selectOption(queue)
  await counts(page.locator('table.cards tbody tr'), 3)
  await shows('suspended')
  await page.getByRole('link', { name: 'nightly' }).click()
  await page.getByRole('heading', { name: 'nightly' }).waitFor()
  await counts(page.getByRole('region', { name: 'Next times' }).locator('li'), 10)
  await shows('at 03:00 every day, Europe/Berlin')
  await page.getByText('0 3 * * *', { exact: true }).waitFor()
  const redis = connectRedis(redisUrl())
  try {
    const { schedules } = openQueue(redis, queue.replace('/', '.'))
    const fired = async () => (await schedules.get('nightly'))?.fired ?? 0
    const before = await fired()
    await page.getByRole('button', { name: 'Run now' }).click()
    await shows(/^The job nightly@\d+ is enqueued\.$/)
    expect(await fired()).toBe(before + 1)
    await page.getByRole('button', { name: 'Pause', exact: true }).click()
    await page.getByRole('button', { name: 'Resume' }).waitFor()
    await shows('Nothing is due while it rests.')
    expect(await schedules.get('nightly')).toMatchObject({ isPaused: true })
    await page.getByRole('button', { name: 'Delete' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
    await counts(page.locator('table.cards tbody tr'), 2)
    expect(await schedules.get('nightly')).toBeUndefined()
  } finally {
    redis.close()
  }
})

it('a flow is a graph of its jobs, a tree, or those in one state, as the address says', async () => {
  await visit(page, `flows/${queue}/order-42`)
  const graph = page.getByRole('region', { name: 'Graph' })
  await counts(graph.getByRole('listitem'), 4)
  const leftOf = async (name: string) => {
    const box = await graph.getByRole('listitem').filter({ hasText: name }).boundingBox()
    return box?.x ?? 0
  }
  const xs = [await leftOf('pay'), await leftOf('part.*'), await leftOf('pack'), await leftOf('ship')]
  expect(xs.toSorted((a, b) => a - b)).toEqual(xs)
  expect(await graph.locator('path[d^=M]').count()).toBeGreaterThanOrEqual(4)
  await graph.getByRole('link', { name: 'pay' }).focus()
  await counts(graph.locator('path[data-near]'), 2)
  await page.locator('main').focus()
  const widthOf = async () => (await graph.getByRole('listitem').first().boundingBox())?.width ?? 0
  const before = await widthOf()
  await page.keyboard.press('-')
  await eventually(async () => (await widthOf()) < before, { what: 'the graph is smaller' })
  await page.getByRole('link', { name: 'Tree' }).click()
  await counts(page.locator('.tree li'), 4)
  await shows('waits for pay')
  await page.getByRole('link', { name: '22 waiting' }).click()
  await counts(page.locator('.tree li'), 22)
  expect(new URL(page.url()).search).toBe('?state=waiting')
  await page.reload()
  await counts(page.locator('.tree li'), 22)
})

it('a job leads to its flow, says what comes after it, and is marked there', async () => {
  await visit(page, `flows/${queue}/order-42`)
  await page.getByRole('region', { name: 'Graph' }).getByRole('link', { name: 'pay' }).click()
  await shows(/^pay, 0 of 23 jobs completed; then .* and 18 more jobs$/)
  await page.getByRole('link', { name: 'order-42' }).click()
  await page.locator('.graph li[data-marked]', { hasText: 'pay' }).waitFor()
  expect(new URL(page.url()).search).toBe('?job=pay')
})

it('a flow that does not move is not read again, and one that moves is', async () => {
  const statuses: number[] = []
  page.on('response', (response) => {
    if (new URL(response.url()).pathname.endsWith('/flows/order-42')) statuses.push(response.status())
  })
  await visit(page, `flows/${queue}/order-42`)
  await eventually(() => statuses.filter((status) => status === 304).length >= 2, {
    what: 'two answers of 304',
  })
  expect(statuses.filter((status) => status === 200)).toHaveLength(1)
  await page.getByRole('button', { name: 'Cancel' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel', exact: true }).click()
  await page.locator('.page-head .state', { hasText: 'cancelled' }).waitFor()
  await page.getByRole('button', { name: 'Retry' }).waitFor()
})

it('a flow that has ended is retried from one of its jobs on', async () => {
  await visit(page, `flows/${queue}/order-43?view=tree`)
  await page.getByRole('button', { name: 'Retry from here: pay' }).click()
  const question = page.getByRole('dialog', { name: 'Retry from pay?' })
  await question.getByRole('button', { name: 'Retry', exact: true }).click()
  await shows('The flow runs again.')
  await page.locator('.page-head .state', { hasText: 'running' }).waitFor()
  await counts(page.getByRole('button', { name: 'Retry from here: pay' }), 0)
})

it('times are local, and UTC on demand; the theme is the system’s, and another on demand', async () => {
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
})

it('a job that is not there says so, and leads to those that are', async () => {
  await page.goto(`${scene.served.url}/job/${queue}/no-such-job`)
  await shows('This job is not there, or not any more')
  await page.getByRole('link', { name: 'Show the jobs that are there' }).click()
  await page.getByRole('heading', { name: 'Jobs' }).waitFor()
  seen.complaints.length = 0
})

it('every control has a name for a screen reader', async () => {
  for (const address of [
    './',
    `jobs?queue=${queue}`,
    job('order8812'),
    `queues/${queue}`,
    `schedules/${queue}/nightly`,
    'workers',
  ]) {
    await visit(page, address)
    const tree = await page.locator('body').ariaSnapshot()
    expect(tree).not.toMatch(/^\s*- (button|link|textbox|combobox|checkbox|searchbox)\s*(:|$|\[)/m)
    expect(tree).toMatch(/- main/)
    expect(tree).toMatch(/- heading .* \[level=1\]/)
  }
})

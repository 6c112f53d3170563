// What is around the pages: who may do what, a Redis that goes away and comes back, a path before theirs.
import { createHash } from 'node:crypto'
import { connect } from 'millhand/client'
import type { Browser, Page } from 'playwright-core'
import { ownAssets } from '../../../dashboard/src/server/assets.ts'
import { RedisServer } from '../../redis-server.ts'
import { NAMESPACE, type Served, type ServeOptions, serve, taskQueue } from '../served.ts'
import { look, openBrowser, visit } from './browser.ts'

const PATIENCE_MS = 120_000
const QUEUE = `${NAMESPACE}/mail`
const TOKENS = { writer: 'a-token-that-may-write', other: 'a-token-of-another-namespace' }
const hash = (token: string) => createHash('sha256').update(token).digest('hex')
const GRANTS = `
ana sha256:${hash(TOKENS.writer)} write *
bob sha256:${hash(TOKENS.other)} write other`

let browser: Browser
let redis: RedisServer
let served: Served | undefined
beforeAll(async () => {
  browser = await openBrowser()
  redis = await RedisServer.start()
}, PATIENCE_MS)
afterEach(() => served?.stop())
afterAll(async () => {
  await browser?.close()
  await redis?.remove()
})

const it = (does: string, run: () => Promise<void>) => test(does, run, PATIENCE_MS)

async function serving(options: Partial<ServeOptions> = {}): Promise<Served> {
  const queues = ['mail', taskQueue('video', {}, 'other')]
  served = await serve({ redisUrl: redis.url, queues, assets: await ownAssets(options.basePath), ...options })
  return served
}

async function enqueued(): Promise<string> {
  const client = connect({ redis: redis.url, namespace: NAMESPACE })
  const { id } = await client.queue('mail').enqueue('succeeds', { order: 1 } as never)
  client.close()
  return id
}

it('who may only read sees that a button does nothing for them, and why', async () => {
  const { page, complaints, close } = await look(browser, await serving({ isReadOnly: true }))
  await visit(page, `queues/${QUEUE}`)
  const pause = page.getByRole('button', { name: 'Pause', exact: true })
  expect(await pause.isDisabled()).toBe(true)
  expect(await pause.getAttribute('title')).toBe('You may not pause queues in test.')
  const id = await enqueued()
  await visit(page, `job/${QUEUE}/${id}`)
  const cancel = page.getByRole('button', { name: 'Cancel' })
  expect(await cancel.isDisabled()).toBe(true)
  expect(await cancel.getAttribute('title')).toBe('You may not cancel jobs in test.')
  await page.locator('main').focus()
  await page.keyboard.press('C')
  expect(await page.getByRole('dialog').count()).toBe(0)
  expect((await served?.call('POST', `queues/${QUEUE}/pause`, {}))?.status).toBe(403)
  expect(complaints).toEqual([])
  await close()
})

it('a token signs in and stays out of the reach of scripts; a wrong one is told', async () => {
  const page = await stranger(await serving({ grants: GRANTS }))
  await signIn(page, 'not-a-token')
  await page.getByRole('alert').waitFor()
  await signIn(page, TOKENS.writer)
  await page.getByRole('heading', { name: 'Overview' }).waitFor()
  await page.reload()
  await page.getByRole('heading', { name: 'Overview' }).waitFor()
  expect(await page.evaluate('document.cookie + JSON.stringify(localStorage)')).not.toContain(TOKENS.writer)
  expect(page.url()).not.toContain(TOKENS.writer)
  await page.context().close()
})

it('who may see one namespace gets its queues, and is told that there is no way to another', async () => {
  const page = await stranger(await serving({ grants: GRANTS }))
  await signIn(page, TOKENS.other)
  await page.getByRole('link', { name: 'video' }).waitFor()
  expect(await page.getByRole('link', { name: 'mail' }).count()).toBe(0)
  await visit(page, `queues/${QUEUE}`)
  await page.getByRole('heading', { name: 'You may not see queue mail' }).waitFor()
  await page.context().close()
})

it('while Redis is away the page says so and keeps what it knows; it goes on when Redis is back', async () => {
  const own = await RedisServer.start()
  const { page, close } = await look(browser, await serving({ redisUrl: own.url }))
  await visit(page, `queues/${QUEUE}`)
  const mood = page.locator('.page-head .state')
  await mood.getByText('idle').waitFor()
  await own.crash()
  await mood.getByText('unreadable').waitFor()
  await page.getByRole('region', { name: 'Numbers' }).getByText('Completed in all').waitFor()
  await page.getByRole('region', { name: 'Rules' }).waitFor()
  await visit(page, `jobs?queue=${QUEUE}`)
  await page.getByRole('heading', { name: 'Redis does not answer' }).waitFor()
  await page.getByText(/^.* It has not for \d+/).waitFor()
  await visit(page, `queues/${QUEUE}`)
  await own.start()
  await mood.getByText('idle').waitFor()
  await close()
  await own.remove()
})

it('below another path every link, call and file stays below it', async () => {
  const basePath = '/tools/millhand'
  const { url } = await serving({ basePath, grants: GRANTS })
  const page = await stranger({ url: `${url}${basePath}/` })
  const asked: string[] = []
  page.on('request', (request) => asked.push(new URL(request.url()).pathname))
  await signIn(page, TOKENS.writer)
  await page.getByRole('link', { name: 'Queues', exact: true }).first().click()
  await page.getByRole('link', { name: 'mail' }).click()
  await page.getByRole('region', { name: 'History' }).waitFor()
  expect(page.url()).toBe(`${url}${basePath}/queues/${QUEUE}`)
  await page.reload()
  await page.getByRole('region', { name: 'History' }).waitFor()
  expect(asked.length).toBeGreaterThan(3)
  expect(asked.filter((path) => !path.startsWith(`${basePath}/`))).toEqual([])
  await page.context().close()
})

/** A browser that was given no token. */
async function stranger({ url }: { url: string }): Promise<Page> {
  const page = await (await browser.newContext()).newPage()
  await page.goto(url)
  return page
}

async function signIn(page: Page, token: string): Promise<void> {
  await page.getByLabel('Token').fill(token)
  await page.getByRole('button', { name: 'Sign in' }).click()
}

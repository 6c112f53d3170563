// A real Chromium with the pages of a real server: what a person sees, and what goes wrong on the way.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { installPackages } from '../../cluster/needs.ts'
import { findProgram } from '../../cluster/run.ts'
import { eventually } from '../../eventually.ts'

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** Debian's; it is installed where it is missing and apt is there. */
export async function openBrowser(): Promise<Browser> {
  if (!(await findProgram('chromium'))) {
    process.stderr.write('Installing with apt-get: chromium\n')
    await installPackages(['chromium'])
  }
  const executablePath = await findProgram('chromium')
  if (!executablePath)
    throw new Error('there is no chromium on the PATH, and apt-get did not bring one: install it')
  // A sandbox needs user namespaces, which a container may not have.
  return chromium.launch({ executablePath, args: ['--no-sandbox'] })
}

export interface View {
  width?: number
  theme?: 'light' | 'dark'
}

export interface Seen {
  context: BrowserContext
  page: Page
  /** What the browser complained of: errors of scripts, of the policy, of what could not be loaded. */
  complaints: string[]
  close(): Promise<void>
}

/** Signed in by the address that `up` prints. */
export async function look(
  browser: Browser,
  { url, token }: { url: string; token: string },
  { width = 1440, theme = 'light' }: View = {},
): Promise<Seen> {
  const context = await browser.newContext({
    viewport: { width, height: 900 },
    colorScheme: theme,
    timezoneId: 'Europe/Berlin',
    reducedMotion: 'reduce',
  })
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('pageerror', (error) => complaints.push(`${page.url()}: ${error.stack ?? error.message}`))
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning')
      complaints.push(`${page.url()}: ${message.text()} ${message.location().url}`)
  })
  page.on('dialog', (dialog) => complaints.push(`${page.url()}: a dialog said ${dialog.message()}`))
  await page.goto(`${url}/?token=${token}`)
  await page.getByRole('heading', { level: 1 }).waitFor()
  return { context, page, complaints, close: () => context.close() }
}

/** Opens an address and waits until nothing loads any more. */
export async function visit(page: Page, address: string): Promise<void> {
  await page.goto(new URL(address, `${new URL(page.url()).origin}/`).href)
  await page.locator('main').waitFor()
  await eventually(async () => (await page.locator('.loading').count()) === 0, {
    what: `${address} has loaded`,
  })
}

/** What axe-core finds wrong, one line each. */
export async function faultsOf(page: Page): Promise<string[]> {
  await page.evaluate(AXE)
  const { violations } = await page.evaluate(() => (globalThis as unknown as { axe: Axe }).axe.run())
  return violations.flatMap(({ id, help, nodes }) =>
    nodes.map(({ html }) => `${id}: ${help}: ${html.slice(0, 200)}`),
  )
}

interface Axe {
  run(): Promise<{ violations: { id: string; help: string; nodes: { html: string }[] }[] }>
}

export const sidewaysScroll = (page: Page): Promise<number> =>
  page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth')

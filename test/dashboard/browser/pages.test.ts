// Every page, in both themes, on a phone and on a desk, with nothing, with much and with hostile data.
import type { Browser } from 'playwright-core'
import { faultsOf, look, openBrowser, sidewaysScroll, visit } from './browser.ts'
import { emptyScene, fullScene, hostileScene, type Scene } from './scene.ts'

const THEMES = ['light', 'dark'] as const
const WIDTHS = [320, 1440] as const
const SCENES = { empty: emptyScene, full: fullScene, hostile: hostileScene } as const
const PATIENCE_MS = 240_000

let browser: Browser
beforeAll(async () => {
  browser = await openBrowser()
}, PATIENCE_MS)
afterAll(() => browser?.close())

function pagesOf({ queue, jobs, flows }: Scene): string[] {
  const everywhere = [
    './',
    'jobs',
    'queues',
    'errors',
    'schedules',
    'flows',
    'workers',
    'actions',
    'no-such-page',
  ]
  if (!queue) return everywhere
  const job = (id: string) =>
    `job/${queue}/${/^\.+$/.test(id) ? id.replaceAll('.', '%252e') : encodeURIComponent(id)}`
  return [
    ...everywhere,
    `queues/${queue}`,
    `jobs?queue=${queue}&f=state:buried`,
    `jobs?queue=${queue}&f=task:nobody`,
    `jobs?queue=${queue}&f=what:ever`,
    ...Object.values(jobs).map(job),
    ...(jobs.buried ? [`${job(jobs.buried)}?tab=payload`] : []),
    ...[jobs.held, jobs.loud].flatMap((id) => (id ? [`${job(id)}?tab=log`] : [])),
    `errors?queue=${queue}`,
    `actions?queue=${queue}`,
    `schedules?queue=${queue}`,
    `schedules/${queue}/nightly`,
    `schedules/${queue}/no-such-schedule`,
    `flows?queue=${queue}`,
    `jobs?queue=${queue}&f=state:buried&open=${queue}/${jobs.buried}`,
    ...flows.flatMap((id) => [
      `flows/${queue}/${id}?view=graph`,
      `flows/${queue}/${id}?view=tree`,
      `flows/${queue}/${id}?state=waiting`,
    ]),
    'errors/test/no-such-queue/v1:0000000000000000',
    job('no-such-job'),
    'queues/test/no-such-queue',
  ]
}

describe.each(Object.entries(SCENES))('with %s', (_, setScene) => {
  let scene: Scene
  beforeAll(async () => {
    scene = await setScene()
  }, PATIENCE_MS)
  afterAll(() => scene?.stop())

  test.each(THEMES.flatMap((theme) => WIDTHS.map((width) => [theme, width] as const)))(
    'every page is accessible, silent and as wide as the screen, %s at %i px',
    async (theme, width) => {
      const { page, complaints, close } = await look(browser, scene.served, { theme, width })
      const faults: string[] = []
      for (const address of pagesOf(scene)) {
        await visit(page, address)
        const found = await faultsOf(page)
        faults.push(...found.map((fault) => `${address}: ${fault}`))
        const sideways = await sidewaysScroll(page)
        if (sideways > 0) faults.push(`${address}: it scrolls sideways by ${sideways} px`)
      }
      await close()
      expect(faults).toEqual([])
      // A browser tells of each answer that is an error.
      expect(complaints.filter((text) => !/status of 404/.test(text))).toEqual([])
    },
    PATIENCE_MS,
  )
})

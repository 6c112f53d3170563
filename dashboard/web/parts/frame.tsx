// What is around every page: the bar with its tabs, the search, the foot.
import type { ComponentChildren } from 'preact'
import { useRef, useState } from 'preact/hooks'
import { type Key, useKeys } from '../app/keys.ts'
import { config, liveState, me, snapshot, trouble } from '../app/live.ts'
import { brief, plural } from '../app/numbers.ts'
import { go, path, query, to } from '../app/router.ts'
import {
  isLive,
  isUtc,
  keysAreOff,
  setKeysOff,
  setTheme,
  setUtc,
  THEMES,
  type Theme,
  theme,
} from '../app/settings.ts'
import { clock, duration, skewMs, zoneName } from '../app/time.ts'
import { toasts, unsay } from '../app/toasts.ts'
import { Note } from './feedback.tsx'
import { Icon, type IconName } from './icons.tsx'
import { KeyHelp } from './key-help.tsx'
import { Menu } from './menu.tsx'

interface Tab {
  name: string
  label: string
  icon: IconName
  key: string
  /** First parts of addresses that belong to it. */
  owns: readonly string[]
}

export const TABS: readonly Tab[] = [
  { name: '', label: 'Overview', icon: 'overview', key: 'o', owns: [''] },
  { name: 'jobs', label: 'Jobs', icon: 'jobs', key: 'j', owns: ['jobs', 'job'] },
  { name: 'queues', label: 'Queues', icon: 'queues', key: 'q', owns: ['queues'] },
  { name: 'errors', label: 'Errors', icon: 'errors', key: 'e', owns: ['errors'] },
  { name: 'schedules', label: 'Schedules', icon: 'delayed', key: 's', owns: ['schedules'] },
  { name: 'flows', label: 'Flows', icon: 'flows', key: 'f', owns: ['flows'] },
  { name: 'workers', label: 'Workers', icon: 'workers', key: 'k', owns: ['workers'] },
  { name: 'actions', label: 'Actions', icon: 'actions', key: 'a', owns: ['actions'] },
]

const LIVE_WORDS = {
  connecting: ['connecting', 'The first numbers are on their way.'],
  live: ['live', 'Numbers arrive as they change.'],
  polling: ['polling', 'Numbers are asked for every 5 s: something between holds events back.'],
  paused: ['paused', 'Nothing is asked for until you go on.'],
  stale: ['old', 'Nothing has arrived for a while: what is shown is older.'],
} as const

export function Frame({ children }: { children: ComponentChildren }) {
  const [isHelpOpen, openHelp] = useState(false)
  const search = useRef<HTMLInputElement>(null)
  const keys: Key[] = [
    ...TABS.map(({ name, label, key }) => ({ keys: `g ${key}`, does: label, run: () => go(to([name])) })),
    { keys: '/', does: 'search, or filter', run: () => focusFilter(search.current) },
    { keys: 'p', does: 'pause, go on', run: () => pauseOrGoOn() },
    { keys: 't', does: 'next theme', run: nextTheme },
    { keys: 'z', does: 'local time, UTC', run: () => setUtc(!isUtc.value) },
    { keys: '?', does: 'these keys', run: () => openHelp(true) },
  ]
  useKeys(keys)
  return (
    <>
      <button type="button" class="skip" onClick={skip}>
        Skip to the page
      </button>
      <header class="top">
        <a class="brand" href={to([])} aria-label="Millhand: overview">
          <Icon name="mill" />
          <span class="word">Millhand</span>
        </a>
        <Tabs />
        <Search field={search} />
        <Tools openHelp={() => openHelp(true)} />
      </header>
      <main id="main" class="page" tabIndex={-1}>
        <Outage />
        {children}
      </main>
      <Foot />
      <Toasts />
      {isHelpOpen && <KeyHelp close={() => openHelp(false)} />}
    </>
  )
}

function Tabs() {
  const first = path.value[0]
  return (
    <nav class="tabs" aria-label="Pages">
      {TABS.map(({ name, label, icon, owns }) => (
        <a key={name} href={to([name])} aria-current={owns.includes(first ?? '') ? 'page' : undefined}>
          <Icon name={icon} />
          {label}
        </a>
      ))}
    </nav>
  )
}

/** A word finds jobs in the queue that is looked at, an id its job. */
function Search({ field }: { field: { current: HTMLInputElement | null } }) {
  const search = (event: Event) => {
    event.preventDefault()
    const wanted = field.current?.value.trim()
    if (!wanted) return
    go(to(['jobs'], { queue: query.value.get('queue') ?? queueInPath(), f: wanted }))
    if (field.current) field.current.value = ''
    field.current?.blur()
  }
  return (
    <search class="find">
      <form onSubmit={search}>
        <input
          ref={field}
          class="field"
          type="search"
          placeholder="Id or filter"
          aria-label="Find jobs by id or filter"
          spellcheck={false}
          autocomplete="off"
        />
        <span class="key" aria-hidden="true">
          /
        </span>
      </form>
    </search>
  )
}

function queueInPath(): string | undefined {
  const [first, namespace, name] = path.value
  const isOfQueue = ['queues', 'job', 'errors', 'schedules', 'flows'].includes(first ?? '')
  return isOfQueue && namespace && name ? `${namespace}/${name}` : undefined
}

function Tools({ openHelp }: { openHelp: () => void }) {
  const [word, means] = LIVE_WORDS[liveState.value]
  return (
    <div class="tools">
      <button
        type="button"
        class="icon-button live-button"
        onClick={() => pauseOrGoOn()}
        title={`${means} (p)`}
        aria-label={isLive.value ? `${word}: pause` : `${word}: go on`}
      >
        <span class="live" data-state={liveState.value}>
          <span class="dot" />
        </span>
      </button>
      <Settings openHelp={openHelp} />
    </div>
  )
}

function Settings({ openHelp }: { openHelp: () => void }) {
  const icons: Record<Theme, IconName> = { system: 'screen', light: 'sun', dark: 'moon' }
  return (
    <Menu label="Settings" face={<Icon name={icons[theme.value]} />} isIcon>
      {(close) => (
        <>
          <p class="small muted menu-text">
            {me.value?.user} {me.value?.isReadOnly && '· read only'}
          </p>
          {THEMES.map((each) => (
            <button
              key={each}
              type="button"
              aria-pressed={theme.value === each}
              onClick={() => setTheme(each)}
            >
              <Icon name={icons[each]} />
              {each === 'system' ? 'As the system' : each === 'light' ? 'Light' : 'Dark'}
              {theme.value === each && <Icon name="completed" class="icon hint" />}
            </button>
          ))}
          <button type="button" aria-pressed={isUtc.value} onClick={() => setUtc(!isUtc.value)}>
            <Icon name="delayed" />
            Times in UTC
            {isUtc.value && <Icon name="completed" class="icon hint" />}
          </button>
          <button
            type="button"
            aria-pressed={!keysAreOff.value}
            onClick={() => setKeysOff(!keysAreOff.value)}
          >
            <Icon name="jobs" />
            Single-key shortcuts
            {!keysAreOff.value && <Icon name="completed" class="icon hint" />}
          </button>
          <button
            type="button"
            onClick={() => {
              close()
              openHelp()
            }}
          >
            <Icon name="more" />
            Keys
            <kbd class="hint">?</kbd>
          </button>
        </>
      )}
    </Menu>
  )
}

/** No newer numbers: since when, and what to do. */
function Outage() {
  const found = trouble.value
  if (!found || !snapshot.value) return null
  return (
    <Note tone="retrying" icon="errors">
      <p role="status">
        {found.message} What is shown is of {clock(snapshot.value.atMs)}; the next try is within 5 s.
      </p>
    </Note>
  )
}

function Foot() {
  const seen = snapshot.value
  const [word] = LIVE_WORDS[liveState.value]
  return (
    <footer class="foot">
      <span>Millhand {config.value?.version}</span>
      {seen && (
        <>
          <span>
            {plural(seen.totalQueues, 'queue')} · {brief(seen.sums.ready)} ready
          </span>
          <span>
            {word} · as of {clock(seen.atMs)} {zoneName.value}
          </span>
        </>
      )}
      {Math.abs(skewMs.value) > 2_000 && (
        <span>
          the server’s clock is {duration(Math.abs(skewMs.value))} {skewMs.value > 0 ? 'ahead' : 'behind'}
        </span>
      )}
    </footer>
  )
}

function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map(({ id, text, tone, action }) => (
        <div key={id} class={`toast ${tone === 'good' ? 's-completed' : tone === 'bad' ? 's-buried' : ''}`}>
          <span>{text}</span>
          {action && (
            <button
              type="button"
              class="button small"
              onClick={() => {
                unsay(id)
                action.run()
              }}
            >
              {action.label}
            </button>
          )}
          <button type="button" class="icon-button" aria-label="Close the message" onClick={() => unsay(id)}>
            <Icon name="close" />
          </button>
        </div>
      ))}
    </div>
  )
}

function pauseOrGoOn(): void {
  isLive.value = !isLive.value
}

function skip(): void {
  document.querySelector<HTMLElement>('main')?.focus()
}

/** The filter of the page, where it has one. */
function focusFilter(search: HTMLInputElement | null): void {
  const field = document.querySelector<HTMLInputElement>('main [data-filter]') ?? search
  field?.focus()
  field?.select()
}

function nextTheme(): void {
  setTheme(THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] ?? 'system')
}

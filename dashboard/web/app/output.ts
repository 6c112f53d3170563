// The live output of a job, while a page shows it: the last lines before that, and each new one; the newest
// 5,000 are kept.
import { useEffect, useState } from 'preact/hooks'
import type { LinesDropped, OutputLine, StateNow } from '../../src/api.ts'
import { absolute } from './api.ts'

export type Line =
  | ({ kind: 'line' } & Omit<OutputLine, 'atMs'>)
  /** Some are missing here. */
  | { kind: 'gap'; why: string }

/** Lines are drawn block by block: one that is full stays as it is. */
export interface Block {
  first: number
  lines: readonly Line[]
}

export interface Output {
  blocks: readonly Block[]
  /** Lines that came before the first block. */
  forgotten: number
  state: StateNow['state'] | undefined
  phase: 'connecting' | 'following' | 'over' | 'failed'
}

const BLOCK = 100
const MOST_BLOCKS = 50
/** Many lines are drawn at once. */
const DRAW_EVERY_MS = 100
/** What was written until a connection is there again comes again, up to so many lines. */
const MOST_AGAIN = 20
const NOTHING: Output = { blocks: [], forgotten: 0, state: undefined, phase: 'connecting' }

/** No path: nothing is followed. */
export function useOutput(path: string | undefined): Output {
  const [output, show] = useState(NOTHING)
  useEffect(() => {
    show(NOTHING)
    if (path === undefined) return
    const change = (by: (before: Output) => Output) => show(by)
    return follow(absolute(path), change)
  }, [path])
  return output
}

function follow(url: string, change: (by: (before: Output) => Output) => void): () => void {
  const stream = new EventSource(url)
  const recent: string[] = []
  let waiting: Line[] = []
  let timer: ReturnType<typeof setTimeout> | undefined
  let isAgain = false
  const draw = () => {
    timer = undefined
    const lines = waiting
    waiting = []
    change((before) => withLines(before, lines))
  }
  const add = (line: Line) => {
    waiting.push(line)
    timer ??= setTimeout(draw, DRAW_EVERY_MS)
  }
  const turn = (phase: Output['phase']) => change((before) => ({ ...before, phase }))
  const on = <T>(event: string, take: (data: T) => void) =>
    stream.addEventListener(event, ({ data }: MessageEvent<string>) => take(JSON.parse(data) as T))
  stream.addEventListener('open', () => {
    turn('following')
    if (isAgain) add({ kind: 'gap', why: 'The connection was lost: lines may be missing here.' })
  })
  on<OutputLine>('line', ({ atMs, ...line }) => {
    const mark = `${line.attempt} ${atMs} ${line.line}`
    if (isAgain && recent.includes(mark)) return
    recent.push(mark)
    if (recent.length > MOST_AGAIN) recent.shift()
    add({ kind: 'line', ...line })
  })
  on<LinesDropped>('dropped', ({ lines }) =>
    add({ kind: 'gap', why: `${lines} lines are left out: too many came at once.` }),
  )
  on<StateNow>('state', ({ state }) => change((before) => ({ ...before, state })))
  on<{ code: string }>('end', ({ code }) => {
    if (code !== 'JOB_ENDED' && code !== 'JOB_NOT_FOUND') return
    stream.close()
    turn('over')
  })
  stream.addEventListener('error', () => {
    isAgain = true
    turn(stream.readyState === EventSource.CLOSED ? 'failed' : 'connecting')
  })
  return () => {
    stream.close()
    clearTimeout(timer)
  }
}

/** Pure. */
export function withLines(before: Output, lines: readonly Line[]): Output {
  const blocks = [...before.blocks]
  for (let at = 0; at < lines.length; ) {
    const last = blocks.at(-1)
    if (last && last.lines.length < BLOCK) {
      const more = lines.slice(at, at + BLOCK - last.lines.length)
      blocks[blocks.length - 1] = { ...last, lines: [...last.lines, ...more] }
      at += more.length
    } else blocks.push({ first: last ? last.first + last.lines.length : 0, lines: [] })
  }
  const excess = blocks.splice(0, Math.max(0, blocks.length - MOST_BLOCKS))
  const left = excess.reduce((sum, block) => sum + block.lines.length, 0)
  return { ...before, blocks, forgotten: before.forgotten + left }
}

/** Colours and movements of a terminal are left out; what else cannot be seen is shown (`visible`). */
export const plain = (line: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are looked for.
  line.replaceAll(/\u001b\[[0-9;?]*[A-Za-z]/g, '')

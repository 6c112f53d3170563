import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { AlreadyRunning, claimFolder, findRunning, stableUids } from '../../../cli/src/local/running.ts'
import { folderWith, writeFiles } from './folder.ts'

const us = { pid: process.pid, namespace: 'team' }
const running = { ...us, redisUrl: 'redis://127.0.0.1:1' }

describe('a running up', () => {
  test('is found from its folder and those below, once its Redis answers, until it stops', () => {
    const folder = folderWith({})
    mkdirSync(join(folder, 'a', 'b'), { recursive: true })
    const claim = claimFolder(folder, us)
    expect(findRunning(folder)).toBeUndefined()
    claim.announce(running.redisUrl)
    expect(findRunning(folder)).toEqual(running)
    expect(findRunning(join(folder, 'a', 'b'))).toEqual(running)
    claim.announce(running.redisUrl, 'http://127.0.0.1:2/?token=t')
    expect(findRunning(folder)).toEqual({ ...running, dashboardUrl: 'http://127.0.0.1:2/?token=t' })
    claim.release()
    expect(findRunning(folder)).toBeUndefined()
  })

  test('is known to its user only', () => {
    const folder = folderWith({})
    const claim = claimFolder(folder, us)
    claim.announce(running.redisUrl)
    expect(statSync(join(folder, '.millhand', 'up.json')).mode & 0o777).toBe(0o600)
  })

  test('keeps another from running in its folder', () => {
    const folder = folderWith({})
    claimFolder(folder, us)
    expect(() => claimFolder(folder, us)).toThrow(AlreadyRunning)
    expect(() => claimFolder(folder, us)).toThrow(`process ${process.pid}`)
  })

  test('that was killed keeps nobody', async () => {
    const folder = folderWith({})
    const other = spawn('sleep', ['60'])
    claimFolder(folder, { ...us, pid: other.pid ?? 0 }).announce(running.redisUrl)
    expect(findRunning(folder)?.pid).toBe(other.pid)
    other.kill('SIGKILL')
    await new Promise((resolve) => other.once('exit', resolve))
    expect(findRunning(folder)).toBeUndefined()
    claimFolder(folder, us).announce(running.redisUrl)
    expect(findRunning(folder)).toEqual(running)
  })

  test('is not mistaken for a later process with the same number', () => {
    const folder = folderWith({})
    writeFiles(folder, { '.millhand/up.json': JSON.stringify({ ...running, startedAt: 'long ago' }) })
    expect(findRunning(folder)).toBeUndefined()
  })

  test.each(['', '{', '[]', '{"pid":"1"}'])('leaves a broken file %p that is taken for none', (text) => {
    const folder = folderWith({ '.millhand/up.json': text })
    expect(findRunning(folder)).toBeUndefined()
    claimFolder(folder, us)
    expect(JSON.parse(readFileSync(join(folder, '.millhand', 'up.json'), 'utf8')).pid).toBe(process.pid)
  })
})

describe('the UIDs of a folder', () => {
  test('are the same after a restart, and differ by kind, name and folder', () => {
    const [here, there] = [folderWith({}), folderWith({})]
    const uid = stableUids(here)('TaskQueue', 'default', 'mail')
    expect(uid).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
    expect(stableUids(here)('TaskQueue', 'default', 'mail')).toBe(uid)
    const others = [
      stableUids(here)('WorkerPool', 'default', 'mail'),
      stableUids(here)('TaskQueue', 'a', 'mail'),
      stableUids(there)('TaskQueue', 'default', 'mail'),
    ]
    expect(new Set([uid, ...others]).size).toBe(4)
  })
})

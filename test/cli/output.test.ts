import { spawnSync } from 'node:child_process'
import { redisUrl } from '../redis.ts'
import { MILLHAND, millhand, ownNamespace, PATIENCE_MS } from './millhand.ts'

const env = { MILLHAND_REDIS_URL: redisUrl(), MILLHAND_NAMESPACE: ownNamespace() }

/** A line of bash, with `millhand` in it. */
function bash(line: string) {
  const { stdout, stderr, status } = spawnSync(
    'bash',
    ['--norc', '-c', `millhand() { "${process.execPath}" "${MILLHAND}" "$@"; }; ${line}`],
    { env: { PATH: process.env.PATH, ...env }, encoding: 'utf8' },
  )
  return { stdout, stderr, status }
}

test(
  'all of the output arrives, also where it is more than a pipe holds',
  async () => {
    const input = JSON.stringify('"'.repeat(100_000))
    await millhand(['enqueue', 'q', 'big', '-', '--id', 'big'], { env, input })
    const { stdout } = bash('millhand job q big --json | { head -c 1; cat; }')
    expect(JSON.parse(stdout).input).toBe(JSON.parse(input))
    expect(bash('millhand job q big --json | head -c 1; echo " $PIPESTATUS"')).toEqual({
      stdout: '{ 0\n',
      stderr: '',
      status: 0,
    })
  },
  PATIENCE_MS,
)

test(
  'a reader that has read enough changes nothing: the exit code is that of the command, and nothing is complained of',
  () => {
    expect(bash('millhand queues q | true; echo $PIPESTATUS')).toEqual({
      stdout: '0\n',
      stderr: '',
      status: 0,
    })
    expect(bash('millhand job q nobody 2>&1 | true; echo $PIPESTATUS').stdout).toBe('1\n')
    expect(bash('millhand jobs --stat 2>&1 | true; echo $PIPESTATUS').stdout).toBe('2\n')
    expect(bash('millhand --help | true; echo $PIPESTATUS').stdout).toBe('0\n')
  },
  PATIENCE_MS,
)

test(
  'output that could not be written is a failure that says so',
  () => {
    expect(bash('millhand queues q > /dev/full')).toEqual({
      stdout: '',
      stderr: expect.stringMatching(/^millhand: the output could not be written: ENOSPC.*\n$/),
      status: 1,
    })
    expect(bash('millhand queues q > /dev/full 2>&1').status).toBe(1)
  },
  PATIENCE_MS,
)

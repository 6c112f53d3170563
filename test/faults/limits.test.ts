// A machine that allows fewer children than a worker has slots.
import { spawnSync } from 'node:child_process'
import { eventually } from '../eventually.ts'
import { scene } from './scene.ts'

const hasPrlimit = spawnSync('prlimit', ['--version']).status === 0 ? test : test.skip

hasPrlimit.each(['Fork', 'Spawn'] as const)(
  'a worker with too few open files for its slots (%s) runs as many jobs at once as fit, and names the limit',
  (isolation) =>
    scene(
      async (scene) => {
        // Long enough that more are wanted at once than fit, however slowly children start.
        const handles = await scene.enqueue(40, 'naps', { ms: isolation === 'Spawn' ? 2_000 : 200 })
        const worker = await scene.worker({ slots: 40, limits: ['--nofile=64'] })
        await scene.idle()
        for (const handle of handles)
          expect(await handle.details()).toMatchObject({ state: 'completed', attempts: 1, failures: [] })
        const told = await eventually(() =>
          worker.said('no room for a child in every slot; running fewer jobs at once'),
        )
        expect(told.why).toMatch(/this process may have 64 open files/)
        expect(worker.said('a child could not start; claiming pauses')).toBeUndefined()
        expect(await worker.stop()).toMatchObject({ code: 0 })
      },
      undefined,
      isolation,
    )(),
  90_000,
)

// The task of this example: it "sends" a mail, which takes a moment.
import { setTimeout as sleep } from 'node:timers/promises'
import { task } from 'millhand'

export interface Mail {
  tenant: string
  number: number
}

export const send = task('send', async ({ tenant, number }: Mail) => {
  await sleep(20)
  return { tenant, number, sentAtMs: Date.now() }
})

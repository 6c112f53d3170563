// The tasks of this example: what an order needs, and what undoes it when a later job of the order fails.
import { TerminalError, task } from 'millhand'

export interface Order {
  number: number
  cents: number
  to: string
}

export const pay = task('pay', ({ number, cents }: Order) => ({ payment: `payment-${number}`, cents }))
export const refund = task('refund', ({ payment }: { payment: string }) => `${payment} is paid back`)

export const reserve = task('reserve', ({ number }: Order) => `parcel-${number}`)
export const release = task('release', (parcel: string) => `${parcel} is unpacked`)

export const ship = task('ship', ({ parcel, to }: { parcel: string; to: string }) => {
  if (to === 'the Moon') throw new TerminalError(`no carrier goes to ${to}`)
  return `${parcel} is on its way to ${to}`
})

export const write = task('write', ({ to, text }: { to: string; text: string }) => `to ${to}: ${text}`)

// A frame of the child's protocol, built by hand, so that tests can send what the real encoder never would.
export function frame(kind: number, text: string): Buffer {
  const body = Buffer.from(text)
  const head = Buffer.alloc(5)
  head.writeUInt32BE(body.length)
  head.writeUInt8(kind, 4)
  return Buffer.concat([head, body])
}

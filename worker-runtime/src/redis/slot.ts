// Which of the 16,384 slots of a Redis Cluster a key belongs to.

/**
 * The slot of a Cluster in which a key lies: CRC-16/XMODEM of what stands in the first braces, of 16,384
 * (Redis Cluster specification).
 */
export function slotOf(key: string): number {
  const tag = /\{([^}]+)\}/.exec(key)?.[1] ?? key
  let crc = 0
  for (const byte of Buffer.from(tag)) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit++) crc = (crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0)
  }
  return crc & 0x3fff
}

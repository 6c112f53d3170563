// Starts demo.ts; on a Node that is too old for it, says so in a sentence.
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 19)) {
  console.error(
    `the demo needs Node 22.19 or newer; this is ${process.versions.node}. npm brings the right one: npm ci, then npm run demo`,
  )
  process.exit(1)
}
await import('./demo.ts')

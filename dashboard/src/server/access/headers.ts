// What the browser is told not to do: run or load anything of another origin, be framed, or tell others the
// address. On every answer. Pure.
const CSP = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'self'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join('; ')

const ALWAYS = {
  'Content-Security-Policy': CSP,
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
} as const

/** `path` without the query. */
export function headersFor(path: string): Readonly<Record<string, string>> {
  return path.startsWith('/api/') ? { ...ALWAYS, 'Cache-Control': 'no-store' } : ALWAYS
}

// The built pages, served from memory: compressed once, hashed names for ever, index.html for every address
// of the pages, with the base path that the browser sees.
import { readdirSync, readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import { Refused } from './refused.ts'

export interface Assets {
  serve(request: IncomingMessage, response: ServerResponse, path: string): void
}

interface File {
  type: string
  plain: Buffer
  gzip: Buffer
  br: Buffer
}

const TYPES: Record<string, string> = {
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.webp': 'image/webp',
  '.ico': 'image/x-icon',
  '.json': 'application/json; charset=utf-8',
  '.map': 'application/json; charset=utf-8',
  '.txt': 'text/plain; charset=utf-8',
}
const FOR_EVER = 'public, max-age=31536000, immutable'
const BASE = '<base href="/">'

/** The pages of this package; in the repository they are built where their sources are newer. */
export async function ownAssets(basePath = '/'): Promise<Assets> {
  return assetsIn(await webFolder(), basePath)
}

async function webFolder(): Promise<string> {
  if (!import.meta.url.endsWith('.ts')) return fileURLToPath(new URL('../web', import.meta.url))
  const builder = new URL('../../web-build.ts', import.meta.url).href
  const { buildWeb } = (await import(builder)) as { buildWeb: () => Promise<string> }
  return buildWeb()
}

export function assetsIn(folder: string, basePath = '/'): Assets {
  const files = new Map<string, File>()
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || entry.name === 'index.html') continue
    const path = join(entry.parentPath, entry.name)
    files.set(path.slice(folder.replace(/\/$/, '').length).replaceAll('\\', '/'), fileOf(path))
  }
  const page = readFileSync(join(folder, 'index.html'), 'utf8')
  return {
    serve(request, response, path) {
      if (request.method !== 'GET' && request.method !== 'HEAD')
        throw new Refused(405, 'METHOD_NOT_ALLOWED', `the method is ${request.method}; it must be GET`, {
          headers: { Allow: 'GET, HEAD' },
        })
      const file = files.get(path)
      if (file) return sendFile(file, request, response)
      // An address of the pages has no file name: one that has is a file of another build.
      if (extname(path) !== '' && path.includes('/assets/'))
        throw new Refused(404, 'NOT_FOUND', 'there is no such file: load the page again')
      sendPage(page.replace(BASE, `<base href="${baseOf(request, basePath)}">`), request, response)
    },
  }
}

function fileOf(path: string): File {
  const plain = readFileSync(path)
  const quality = { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } }
  return {
    type: TYPES[extname(path)] ?? 'application/octet-stream',
    plain,
    gzip: gzipSync(plain, { level: 9 }),
    br: brotliCompressSync(plain, quality),
  }
}

function sendFile(file: File, { method, headers }: IncomingMessage, response: ServerResponse): void {
  const accepted = String(headers['accept-encoding'] ?? '')
  const coding = (['br', 'gzip'] as const).find((each) =>
    new RegExp(`\\b${each}\\b(?!;q=0(\\.0*)?(,|$))`).test(accepted),
  )
  const body = file[coding ?? 'plain']
  response.writeHead(200, {
    'Content-Type': file.type,
    'Content-Length': body.length,
    'Cache-Control': FOR_EVER,
    Vary: 'Accept-Encoding',
    ...(coding && { 'Content-Encoding': coding }),
  })
  response.end(method === 'HEAD' ? undefined : body)
}

/** Plain: the API server's proxy puts its own prefix into the page. */
function sendPage(page: string, { method }: IncomingMessage, response: ServerResponse): void {
  response.writeHead(200, {
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Length': Buffer.byteLength(page),
    'Cache-Control': 'no-store',
  })
  response.end(method === 'HEAD' ? undefined : page)
}

/** A proxy that takes its prefix away may say it; anything but plain segments is not believed. */
function baseOf({ headers }: IncomingMessage, basePath: string): string {
  const said = headers['x-forwarded-prefix']
  const prefix = typeof said === 'string' && /^(\/[\w~-][\w.~-]{0,99}){1,10}\/?$/.test(said) ? said : basePath
  return `/${prefix}/`.replaceAll(/\/+/g, '/')
}

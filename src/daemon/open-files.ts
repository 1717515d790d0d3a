import { readFile, readdir, readlink, stat } from 'node:fs/promises'
import { runChild } from './child.ts'

/** A file that a process has open. */
export interface OpenFile {
  pid: number
  /** Its number in that process. */
  descriptor: string
  path: string
  writable: boolean
  /** 0 where there is no telling. */
  bytes: number
  /** Device and inode, which name a file whatever links and odd letters lead to it. */
  id: string
}

/** How the answers are had: `lsof`, or `/proc` where lsof is missing, or not at all. */
export type OpenFilesSource = 'lsof' | 'proc' | 'none'

/** lsof is given this many paths a call, to stay far below the longest command line. */
const pathsPerCall = 256
/** A mount that is gone can hold it for ever. */
const lsofAtMostMs = 10_000

/** Sees which files other processes have open. */
export class OpenFiles {
  source: OpenFilesSource = 'lsof'

  /** What these processes have open, by one lsof call; undefined where it can't be seen. */
  async of(pids: number[]): Promise<OpenFile[] | undefined> {
    if (pids.length === 0) return []
    return this.#ask(['-a', '-p', pids.join(','), '-d', '^cwd,^rtd,^txt,^mem'], async () =>
      procFiles(pids.map(String)),
    )
  }

  /** Who has any of these files open, by the paths given; undefined where it can't be seen. */
  async at(paths: string[]): Promise<OpenFile[] | undefined> {
    const all: OpenFile[] = []
    for (let first = 0; first < paths.length; first += pathsPerCall) {
      const some = paths.slice(first, first + pathsPerCall)
      const found = await this.#ask(['--', ...some], async () => procFiles(await readdir('/proc')))
      if (!found) return undefined
      const given = await byId(some)
      for (const file of found)
        all.push(...(given.get(file.id) ?? []).map((path) => ({ ...file, path })))
    }
    return all
  }

  async #ask(which: string[], byProc: () => Promise<OpenFile[]>): Promise<OpenFile[] | undefined> {
    const lines = await lsof(which)
    if (lines !== undefined) {
      this.source = 'lsof'
      return parseLsof(lines)
    }
    try {
      const files = await byProc()
      this.source = 'proc'
      return files
    } catch {
      this.source = 'none'
      return undefined
    }
  }
}

/** What the kernel appends to the path of a file without a name. */
export const deletedMark = / \(deleted\)$/

/**
 * The output of lsof; undefined when it can't be run. It exits with 1 both when nothing is open
 * and when it fails, but is silent only in the first case.
 */
async function lsof(which: string[]): Promise<string | undefined> {
  // Without O, half its time goes into a process that looks at files for it, since a mount may hang;
  // here that ends it.
  const command = ['lsof', '-OnPw', '-F', 'panDis', ...which]
  const { code, stdout, lines } = await runChild(command, { atMostMs: lsofAtMostMs })
  // That a file has gone meanwhile is no failure.
  const complaints = lines.filter((line) => !line.startsWith('lsof: status error on '))
  return code === 0 || (code === 1 && complaints.length === 0) ? stdout : undefined
}

/** Reads `lsof -F panDis`: a line `p` a process, then `f`, `a`, `D`, `s`, `i` and `n` a file. */
export function parseLsof(lines: string): OpenFile[] {
  const files: OpenFile[] = []
  const fields: Record<string, string> = {}
  for (const line of lines.split('\n')) {
    const field = line.slice(0, 1)
    fields[field] = line.slice(1)
    if (field === 'f') fields.D = fields.i = fields.s = ''
    else if (field === 'n')
      files.push({
        pid: Number(fields.p),
        descriptor: fields.f ?? '',
        path: unescapeLsof(line.slice(1)),
        writable: fields.a === 'w' || fields.a === 'u',
        bytes: Number(fields.s),
        id: fileId(Number(fields.D), fields.i ?? ''),
      })
  }
  return files
}

function fileId(device: number, inode: number | string): string {
  return `${device}:${inode}`
}

/** lsof writes what its locale can't print as `\\xNN`, a byte each. */
function unescapeLsof(text: string): string {
  if (!text.includes('\\')) return text
  const bytes = Buffer.from(text, 'utf8').toString('latin1')
  const unescaped = bytes.replaceAll(/\\(x[0-9a-f]{2}|[nrtbf\\])/g, (_, escape: string) =>
    escape.startsWith('x')
      ? String.fromCodePoint(Number.parseInt(escape.slice(1), 16))
      : ({ n: '\n', r: '\r', t: '\t', b: '\b', f: '\f' }[escape] ?? '\\'),
  )
  return Buffer.from(unescaped, 'latin1').toString('utf8')
}

async function byId(paths: string[]): Promise<Map<string, string[]>> {
  const map = new Map<string, string[]>()
  for (const path of paths) {
    const stats = await stat(path).catch(() => undefined)
    if (!stats) continue
    const id = fileId(stats.dev, stats.ino)
    map.set(id, [...(map.get(id) ?? []), path])
  }
  return map
}

async function procFiles(pids: string[]): Promise<OpenFile[]> {
  const files: OpenFile[] = []
  for (const pid of pids) {
    if (!/^\d+$/.test(pid)) continue
    const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => [])
    for (const descriptor of descriptors) {
      const path = await readlink(`/proc/${pid}/fd/${descriptor}`).catch(() => '')
      const stats = await stat(`/proc/${pid}/fd/${descriptor}`).catch(() => undefined)
      if (!path.startsWith('/') || !stats) continue
      const info = await readFile(`/proc/${pid}/fdinfo/${descriptor}`, 'utf8').catch(() => '')
      const flags = Number.parseInt(/^flags:\s*([0-7]+)/m.exec(info)?.[1] ?? '0', 8)
      const id = fileId(stats.dev, stats.ino)
      const writable = (flags & 0o3) !== 0
      files.push({ pid: Number(pid), descriptor, path, writable, bytes: stats.size, id })
    }
  }
  return files
}

import { execFile } from 'node:child_process'
import { readFile, readdir, readlink, realpath } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** A file that a process has open. */
export interface OpenFile {
  pid: number
  path: string
  writable: boolean
}

/** How the answers are had: `lsof`, or `/proc` where lsof is missing, or not at all. */
export type OpenFilesSource = 'lsof' | 'proc' | 'none'

/** lsof is given this many paths a call, to stay far below the longest command line. */
const pathsPerCall = 256

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

  /** Who has any of these files open; undefined where it can't be seen. */
  async at(paths: string[]): Promise<OpenFile[] | undefined> {
    const given = await byRealPath(paths)
    const all: OpenFile[] = []
    for (let first = 0; first < paths.length; first += pathsPerCall) {
      const some = paths.slice(first, first + pathsPerCall)
      const found = await this.#ask(['--', ...some], async () => procFiles(await readdir('/proc')))
      if (!found) return undefined
      for (const file of found) {
        const path = given.get(file.path)
        if (path !== undefined) all.push({ ...file, path })
      }
    }
    return all
  }

  async #ask(which: string[], byProc: () => Promise<OpenFile[]>): Promise<OpenFile[] | undefined> {
    const lines = await lsof(which)
    if (lines) {
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

/**
 * The output of lsof; undefined when it can't be run. It exits with 1 both when nothing is open
 * and when it fails, but is silent only in the first case.
 */
async function lsof(which: string[]): Promise<string | undefined> {
  try {
    const { stdout } = await run('lsof', ['-nPw', '-F', 'pan', ...which], {
      timeout: 10_000,
      maxBuffer: 64 << 20,
    })
    return stdout
  } catch (error) {
    const { code, stdout, stderr } = error as { code?: unknown; stdout?: string; stderr?: string }
    return code === 1 && !stderr ? stdout : undefined
  }
}

/** Reads `lsof -F pan`: a line `p` a process, then `f`, `a` and `n` a file. Exported for its test. */
export function parseLsof(lines: string): OpenFile[] {
  const files: OpenFile[] = []
  let pid = 0
  let writable = false
  for (const line of lines.split('\n')) {
    const value = line.slice(1)
    if (line[0] === 'p') pid = Number(value)
    else if (line[0] === 'a') writable = value === 'w' || value === 'u'
    else if (line[0] === 'n') files.push({ pid, path: unescapeLsof(value), writable })
  }
  return files
}

/** lsof writes what is not printable, and every byte beyond ASCII in the C locale, as `\xNN`. */
function unescapeLsof(text: string): string {
  if (!text.includes('\\')) return text
  const bytes = text.replaceAll(/\\(x[0-9a-f]{2}|[nrtbf\\])/g, (_, escape: string) =>
    escape[0] === 'x'
      ? String.fromCodePoint(Number.parseInt(escape.slice(1), 16))
      : ({ n: '\n', r: '\r', t: '\t', b: '\b', f: '\f' }[escape] ?? '\\'),
  )
  return Buffer.from(bytes, 'latin1').toString('utf8')
}

/** The kernel names an open file by its real path, whatever links led to it. */
async function byRealPath(paths: string[]): Promise<Map<string, string>> {
  const folders = new Map<string, string>()
  for (const folder of new Set(paths.map((path) => dirname(path))))
    folders.set(folder, await realpath(folder).catch(() => folder))
  return new Map(
    paths.map((path) => [join(folders.get(dirname(path)) ?? '', basename(path)), path]),
  )
}

async function procFiles(pids: string[]): Promise<OpenFile[]> {
  const files: OpenFile[] = []
  for (const pid of pids) {
    if (!/^\d+$/.test(pid)) continue
    const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => [])
    for (const descriptor of descriptors) {
      const path = await readlink(`/proc/${pid}/fd/${descriptor}`).catch(() => '')
      if (!path.startsWith('/')) continue
      const info = await readFile(`/proc/${pid}/fdinfo/${descriptor}`, 'utf8').catch(() => '')
      const flags = Number.parseInt(/^flags:\s*([0-7]+)/m.exec(info)?.[1] ?? '0', 8)
      files.push({ pid: Number(pid), path, writable: (flags & 0o3) !== 0 })
    }
  }
  return files
}

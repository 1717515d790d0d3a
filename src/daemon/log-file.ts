import {
  closeSync,
  futimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Clock } from './clock.ts'
import { localTime } from './local-time.ts'

const largestBytes = 10 * 1024 * 1024
const dayMs = 24 * 3600 * 1000
/** The log files of any daemon, without the links to them. */
const datedLog = /_\d{4}-\d\d-\d\d_[\d-]+\.log$/

export interface LogFileOptions {
  folder: string
  daemon: string
  retentionDays: number
  /** Most that the logs of all daemons may take. */
  maxBytes: number
}

/**
 * Appends lines to `<daemon>_YYYY-MM-DD_HH-MM-SS.log`, synchronously, so that a killed process
 * loses none; begins a new file by day and size, links `<daemon>.log` to it, prunes old ones, and
 * those of all daemons by their size.
 * Where it can't write (a full disk), the line goes to stderr, and the program goes on.
 */
export class LogFile {
  readonly #options: LogFileOptions
  readonly #clock: Clock
  #descriptor: number | undefined
  #name = ''
  #day = ''
  #bytes = 0
  readonly #largestBytes: number

  constructor(options: LogFileOptions, clock: Clock) {
    this.#options = options
    this.#clock = clock
    // Two daemons write at a time.
    this.#largestBytes = Math.min(largestBytes, options.maxBytes / 4)
  }

  append(line: string): void {
    try {
      writeSync(this.#current(), line)
      this.#bytes += Buffer.byteLength(line)
    } catch {
      process.stderr.write(line)
    }
  }

  #current(): number {
    const now = localTime(this.#clock.now())
    if (
      this.#descriptor !== undefined &&
      this.#day === now.date &&
      this.#bytes < this.#largestBytes
    )
      return this.#descriptor
    const { folder, daemon } = this.#options
    mkdirSync(folder, { recursive: true })
    const name = `${daemon}_${now.date}_${now.time.replaceAll(':', '-')}.log`
    const descriptor = openSync(join(folder, name), 'a')
    link(folder, `${daemon}.log`, name)
    this.#prune([name, this.#name])
    this.#pruneBySize()
    if (this.#descriptor !== undefined) this.#close(this.#descriptor)
    this.#descriptor = descriptor
    this.#name = name
    this.#day = now.date
    this.#bytes = 0
    return descriptor
  }

  /** What was written until now is of now, though the clock may have stood at 1970 meanwhile. */
  #close(descriptor: number): void {
    const seconds = this.#clock.now() / 1000
    futimesSync(descriptor, seconds, seconds)
    closeSync(descriptor)
  }

  /** Deletes what is old but for these; nothing, while the clock is far from every log there is. */
  #prune(spared: string[]): void {
    const { folder, daemon, retentionDays } = this.#options
    const retentionMs = retentionDays * dayMs
    const ages = readdirSync(folder)
      .filter((name) => name.startsWith(`${daemon}_`) && name.endsWith('.log'))
      .filter((name) => name !== spared[0])
      .map((name) => ({ name, ms: this.#clock.now() - statSync(join(folder, name)).mtimeMs }))
    const nearestMs = Math.min(...ages.map(({ ms }) => Math.abs(ms)))
    if (nearestMs > Math.max(retentionMs, dayMs)) return
    for (const { name, ms } of ages)
      if (ms > retentionMs && !spared.includes(name)) rmSync(join(folder, name), { force: true })
  }

  /** Deletes the oldest logs, but for those that are being written, until the others fit. */
  #pruneBySize(): void {
    const { folder, maxBytes } = this.#options
    const current = currentLogs(folder)
    const logs = readdirSync(folder)
      .filter((name) => datedLog.test(name) && !current.has(name))
      .map((name) => ({ name, stats: statSync(join(folder, name), { throwIfNoEntry: false }) }))
      .sort((a, b) => (b.stats?.mtimeMs ?? 0) - (a.stats?.mtimeMs ?? 0))
    let room = maxBytes - current.size * this.#largestBytes
    for (const { name, stats } of logs) {
      room -= stats?.size ?? 0
      if (room < 0) rmSync(join(folder, name), { force: true })
    }
  }
}

/** What the links of the daemons lead to. */
function currentLogs(folder: string): Set<string> {
  const links = readdirSync(folder, { withFileTypes: true }).filter((entry) =>
    entry.isSymbolicLink(),
  )
  return new Set(links.map(({ name }) => readlinkSync(join(folder, name))))
}

function link(folder: string, name: string, target: string): void {
  const temporary = join(folder, `.${name}.new`)
  rmSync(temporary, { force: true })
  symlinkSync(target, temporary)
  renameSync(temporary, join(folder, name))
}

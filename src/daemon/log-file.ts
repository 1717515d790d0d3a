import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
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

export interface LogFileOptions {
  folder: string
  daemon: string
  retentionDays: number
}

/**
 * Appends lines to `<daemon>_YYYY-MM-DD_HH-MM-SS.log`, synchronously, so that a killed process
 * loses none; begins a new file by day and size, links `<daemon>.log` to it, prunes old ones.
 * Where it can't write (a full disk), the line goes to stderr, and the program goes on.
 */
export class LogFile {
  readonly #options: LogFileOptions
  readonly #clock: Clock
  #descriptor: number | undefined
  #day = ''
  #bytes = 0

  constructor(options: LogFileOptions, clock: Clock) {
    this.#options = options
    this.#clock = clock
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
    if (this.#descriptor !== undefined && this.#day === now.date && this.#bytes < largestBytes)
      return this.#descriptor
    const { folder, daemon } = this.#options
    mkdirSync(folder, { recursive: true })
    const name = `${daemon}_${now.date}_${now.time.replaceAll(':', '-')}.log`
    const descriptor = openSync(join(folder, name), 'a')
    if (this.#descriptor !== undefined) closeSync(this.#descriptor)
    this.#descriptor = descriptor
    this.#day = now.date
    this.#bytes = 0
    link(folder, `${daemon}.log`, name)
    this.#prune(name)
    return descriptor
  }

  #prune(current: string): void {
    const { folder, daemon, retentionDays } = this.#options
    const oldestMs = this.#clock.now() - retentionDays * dayMs
    for (const name of readdirSync(folder)) {
      const path = join(folder, name)
      const ours = name.startsWith(`${daemon}_`) && name.endsWith('.log') && name !== current
      if (ours && statSync(path).mtimeMs < oldestMs) rmSync(path, { force: true })
    }
  }
}

function link(folder: string, name: string, target: string): void {
  const temporary = join(folder, `.${name}.new`)
  rmSync(temporary, { force: true })
  symlinkSync(target, temporary)
  renameSync(temporary, join(folder, name))
}

import { existsSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execFileSync } from 'node:child_process'

/** A wall clock of its own for the processes that get its variables, with all of their children. */
export class FakeClock {
  readonly variables: Record<string, string>
  readonly #file: string

  /** `folder` keeps the file that the clock's hands are set by. */
  constructor(folder: string, aheadMs = 0) {
    this.#file = join(folder, 'fake-clock')
    this.set(aheadMs)
    this.variables = {
      LD_PRELOAD: libraryPath(),
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_NO_CACHE: '1',
      // Timers, and all that counts durations, go by a clock that nobody sets.
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      // A step changes the times of no file that is there.
      NO_FAKE_STAT: '1',
    }
  }

  /** Sets the clock: so far ahead of the real one. */
  set(aheadMs: number): void {
    writeFileSync(`${this.#file}.new`, `${aheadMs < 0 ? '' : '+'}${(aheadMs / 1000).toFixed(3)}\n`)
    renameSync(`${this.#file}.new`, this.#file)
  }
}

let path: string | undefined

/** The library that the command preloads, wherever a distribution keeps it. */
function libraryPath(): string {
  if (path !== undefined) return path
  removeLeftovers()
  path = execFileSync('faketime', ['-m', '-f', '+0', 'printenv', 'LD_PRELOAD']).toString().trim()
  return path
}

/** What a process leaves here that is killed; the next one that gets its PID fails on it. */
function removeLeftovers(): void {
  for (const name of readdirSync('/dev/shm')) {
    const [, pid] = /^(?:sem\.)?faketime_(?:sem|shm)_(\d+)$/.exec(name) ?? []
    if (pid !== undefined && !existsSync(`/proc/${pid}`))
      rmSync(`/dev/shm/${name}`, { force: true })
  }
}

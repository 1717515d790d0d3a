import { renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from './clock.ts'

/** How often a daemon says how it is. A status older than five of these is a daemon that hangs. */
const everyMs = 2000

/** What every status file begins with. */
export interface StatusHeader {
  daemon: string
  pid: number
  startedAt: string
  updatedAt: string
}

export interface StatusFileOptions {
  daemon: string
  folder: string
  /** Gets a link `<daemon>.status` to the file, for those who can't know the folder. */
  runFolder: string
  /** Takes the secrets out of a text. */
  scrub: (text: string) => string
}

/**
 * Replaces `<folder>/<daemon>.json` every 2 s, atomically, until the signal aborts.
 * On a full disk the old content stays but is touched, so that a full disk is not a hang.
 */
export async function keepStatus(
  options: StatusFileOptions,
  content: () => Record<string, unknown>,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const path = join(options.folder, `${options.daemon}.json`)
  const startedAt = new Date(clock.now()).toISOString()
  linkTo(path, join(options.runFolder, `${options.daemon}.status`))
  while (!signal.aborted) {
    const header: StatusHeader = {
      daemon: options.daemon,
      pid: process.pid,
      startedAt,
      updatedAt: new Date(clock.now()).toISOString(),
    }
    const text = JSON.stringify({ ...header, ...content() }, undefined, 2)
    replace(path, `${options.scrub(text)}\n`, clock)
    await clock.sleep(everyMs, signal)
  }
  rmSync(path, { force: true })
}

function linkTo(path: string, link: string): void {
  try {
    rmSync(link, { force: true })
    symlinkSync(path, link)
  } catch {
    // A full disk: the keep-alive goes without it.
  }
}

function replace(path: string, text: string, clock: Clock): void {
  const temporary = `${path}.new`
  try {
    writeFileSync(temporary, text)
    renameSync(temporary, path)
  } catch {
    rmSync(temporary, { force: true })
    try {
      const now = clock.now() / 1000
      utimesSync(path, now, now)
    } catch {
      // There is none yet: status.sh says so.
    }
  }
}

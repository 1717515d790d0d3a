import {
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Alert } from './alerts.ts'
import { isoAt, type Clock } from './clock.ts'
import { SteadyRate } from './steady-rate.ts'

/** How often a daemon says how it is. A status older than five of these is a daemon that hangs. */
const everyMs = 2000

/** What every status file begins with. */
export interface StatusHeader {
  daemon: string
  pid: number
  startedAt: string
  updatedAt: string
  /** Of one core, over the last few seconds. */
  cpuPercent?: number
  rssBytes?: number
  /** Of what somebody was told, and it is not over; why that could not be told. */
  alerts?: Alert[]
  alertProblems?: string[]
}

export interface StatusFileOptions {
  daemon: string
  folder: string
  /** Gets a link `<daemon>.status` to the file, for those who can't know the folder. */
  runFolder: string
  /** Takes the secrets out of a text. */
  scrub: (text: string) => string
}

/** What is in the status file; undefined if nothing can be read. */
export function readStatus(options: Pick<StatusFileOptions, 'folder' | 'daemon'>): unknown {
  try {
    return JSON.parse(readFileSync(pathOf(options), 'utf8'))
  } catch {
    return undefined
  }
}

/**
 * Replaces `<folder>/<daemon>.json` every 2 s, atomically, until the signal aborts, and once more then.
 * On a full disk the old content stays but is touched, so that a full disk is not a hang. The last
 * file stays, too, for the next start: only what a running process says of itself is believed.
 */
export async function keepStatus(
  options: StatusFileOptions,
  content: () => Record<string, unknown>,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const path = pathOf(options)
  const startedMs = clock.monotonicMs()
  const cpu = new SteadyRate()
  linkTo(path, join(options.runFolder, `${options.daemon}.status`))
  const write = (): void => {
    const { user, system } = process.cpuUsage()
    cpu.look(user + system, clock.monotonicMs())
    const header: StatusHeader = {
      daemon: options.daemon,
      pid: process.pid,
      startedAt: isoAt(clock, startedMs),
      updatedAt: new Date(clock.now()).toISOString(),
      // Microseconds in a second.
      cpuPercent: Math.round((cpu.perSecond ?? 0) / 1000) / 10,
      ...residentBytes(),
    }
    const text = JSON.stringify({ ...header, ...content() }, undefined, 2)
    replace(path, `${options.scrub(text)}\n`, clock)
  }
  while (!signal.aborted) {
    write()
    await clock.sleep(everyMs, signal)
  }
  write()
}

function pathOf({ folder, daemon }: Pick<StatusFileOptions, 'folder' | 'daemon'>): string {
  return join(folder, `${daemon}.json`)
}

function linkTo(path: string, link: string): void {
  try {
    if (targetOf(link) === path) return
    rmSync(link, { force: true })
    symlinkSync(path, link)
  } catch {
    // A full disk: the keep-alive goes without it.
  }
}

function targetOf(link: string): string | undefined {
  try {
    return readlinkSync(link)
  } catch {
    return undefined
  }
}

function replace(path: string, text: string, clock: Clock): void {
  const temporary = `${path}.new`
  try {
    writeFileSync(temporary, text)
    renameSync(temporary, path)
  } catch {
    try {
      rmSync(temporary, { force: true })
      touch(path, clock)
    } catch {
      // Not even a name fits: status.sh says so.
    }
  }
}

/** A sign of life that takes no room and, where there was one before, no file handle. */
function touch(path: string, clock: Clock): void {
  const now = clock.now() / 1000
  if (!existsSync(path)) closeSync(openSync(path, 'a'))
  utimesSync(path, now, now)
}

/** Node.js reads it from a file, for which there may be no handle. */
function residentBytes(): Pick<StatusHeader, 'rssBytes'> {
  try {
    return { rssBytes: process.memoryUsage.rss() }
  } catch {
    return {}
  }
}

import { lstat, mkdir, readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { watch, type FSWatcher } from 'chokidar'
import type { Clock } from '../daemon/clock.ts'
import { describeError, type Log } from '../daemon/logger.ts'
import type { OpenFiles } from '../daemon/open-files.ts'
import { ignoreMissing, moveInto, type Folders } from '../segments/folders.ts'
import { closedStableMs, isFinished } from './finished.ts'
import { closedName, parseSegmentName } from '../segments/segment-name.ts'
import { startMs } from './object-description.ts'
import type { ProblemLog } from '../daemon/problem-log.ts'
import type { Segment } from './upload-queue.ts'
import { WakeCall } from './wake-call.ts'

export interface FinderDeps {
  folders: Folders
  openFiles: OpenFiles
  /** Who gets what is finished, and is asked what it has already. */
  queue: {
    offer(segment: Segment): void
    has(path: string): boolean
    retain(isThere: (path: string) => boolean): void
  }
  stableAfterMs: number
  rescanEveryMs: number
  problems: ProblemLog
  log: Log
  clock: Clock
}

/** A file that isn't known to be finished. */
interface Pending {
  path: string
  inOpen: boolean
  bytes: number
  mtimeMs: number
  inode: number
  /** Monotonic. */
  unchangedSinceMs: number
  /** When it may be finished at the earliest; monotonic. */
  nextLookMs: number
}

/** How soon a file is looked at again that somebody still has open. */
const lookAgainMs = 1000
/** Or for changes, of one that must be quiet for long: its quiet counts from the look that saw the last. */
const changesEveryMs = 5000
/** Enough for one call of lsof; of a long backlog the first need not wait for the last. */
const mostAtOnce = 256
/** With more files than that, chokidar, which looks at all when one comes or goes, costs too much. */
const mostWatched = 32
/** How soon new files are found then. */
const rescanBusyMs = 2000

/**
 * Finds the finished files of `recordings/` and `recordings/open/`. What chokidar tells of
 * `recordings/` are hints; a rescan is the truth.
 */
export class SegmentFinder {
  readonly #deps: FinderDeps
  readonly #pending = new Map<string, Pending>()
  readonly #saidIgnored = new Set<string>()
  /** Those that could not be looked at, or moved. */
  readonly #troubled = new Set<string>()
  #watched: { inode: number; watcher: FSWatcher } | undefined
  #hints = new Set<string>()
  readonly #hinted: WakeCall

  constructor(deps: FinderDeps) {
    this.#deps = deps
    this.#hinted = new WakeCall(deps.clock)
  }

  /** Looks at a file anew, though nothing has happened to its name. */
  hint(path: string): void {
    if (this.#isKnown(path)) return
    this.#hints.add(path)
    this.#hinted.ring()
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, problems, rescanEveryMs } = this.#deps
    let nextScanMs = 0
    while (!signal.aborted) {
      try {
        if (clock.monotonicMs() >= nextScanMs) {
          nextScanMs = clock.monotonicMs() + rescanEveryMs
          const files = await this.#rescan()
          if (files > mostWatched)
            nextScanMs = clock.monotonicMs() + Math.min(rescanBusyMs, rescanEveryMs)
        }
        await this.#followHints()
        await this.#lookAtPending()
        problems.over('finder')
      } catch (error) {
        const reason = describeError(error)
        problems.report('finder', reason, { reason }, 'cannot look for finished segments')
      }
      let nextMs = nextScanMs
      for (const { nextLookMs } of this.#pending.values()) nextMs = Math.min(nextMs, nextLookMs)
      await this.#hinted.sleep(Math.max(0, nextMs - clock.monotonicMs()), signal)
    }
    await this.#unwatch()
  }

  /** How many files there are. */
  async #rescan(): Promise<number> {
    const { folders, queue } = this.#deps
    await mkdir(folders.open, { recursive: true })
    const there = new Set<string>()
    for (const folder of [folders.open, folders.recordings]) {
      for (const name of await readdir(folder))
        if (name.endsWith('.mp4')) there.add(join(folder, name))
    }
    queue.retain((path) => there.has(path))
    for (const path of this.#troubled) if (!there.has(path)) this.#noTrouble(path)
    // In their order, for the first that is found finished is the first to be shipped.
    const found = [...there].filter((path) => !this.#isKnown(path))
    const times = new Map(found.map((path) => [path, timeByName(path)]))
    found.sort((a, b) => (times.get(a) ?? 0) - (times.get(b) ?? 0))
    for (const path of found) await this.#track(path)
    if (there.size > mostWatched) await this.#unwatch()
    else await this.#watch()
    return there.size
  }

  /** What one file meets is no reason for the others to wait. */
  async #apart(path: string, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      this.#troubled.add(path)
      const [file, reason] = [basename(path), describeError(error)]
      this.#deps.problems.report(`finder ${path}`, reason, { file, reason }, 'cannot be looked at')
    }
  }

  #noTrouble(path: string): void {
    if (this.#troubled.delete(path)) this.#deps.problems.over(`finder ${path}`)
  }

  async #followHints(): Promise<void> {
    const hints = this.#hints
    this.#hints = new Set()
    for (const path of hints) if (!this.#deps.queue.has(path)) await this.#track(path)
  }

  async #track(path: string): Promise<void> {
    await this.#apart(path, async () => this.#lookAt(path))
  }

  async #lookAt(path: string): Promise<void> {
    const { folders, clock, log } = this.#deps
    const info = await lstat(path).catch(ignoreMissing)
    if (!info) return this.#sayIfUnreadable(path)
    if (!info.isFile()) {
      if (!this.#saidIgnored.has(path))
        log.warn({ file: basename(path) }, 'not a regular file; left alone')
      this.#saidIgnored.add(path)
      return
    }
    const inOpen = join(path, '..') === folders.open
    const nowMs = clock.monotonicMs()
    this.#pending.set(path, {
      ...{ path, inOpen },
      ...{ bytes: info.size, mtimeMs: info.mtimeMs, inode: info.ino, unchangedSinceMs: nowMs },
      nextLookMs: nowMs + Math.min(this.#quietMs(inOpen), changesEveryMs),
    })
  }

  /** Node.js can't open a file whose name it could not decode. */
  #sayIfUnreadable(path: string): void {
    if (!path.includes('\uFFFD')) return
    const reason = `${basename(path)} is not named in UTF-8: rename it`
    this.#deps.problems.report('names', reason, { reason }, 'a file cannot be shipped')
  }

  async #lookAtPending(): Promise<void> {
    const { clock, stableAfterMs } = this.#deps
    const stable = await this.#stable()
    if (stable.length === 0) return
    const isHeld = await this.#holders(stable)
    for (const pending of stable) {
      const stableMs = clock.monotonicMs() - pending.unchangedSinceMs
      const facts = { stableMs, isHeld: isHeld(pending), inOpen: pending.inOpen }
      if (isFinished(facts, stableAfterMs))
        await this.#apart(pending.path, async () => this.#deliver(pending))
      // lsof may have taken long.
      pending.nextLookMs = clock.monotonicMs() + lookAgainMs
    }
  }

  /** Those that are due, and haven't changed since they were seen; of many the oldest and the newest. */
  async #stable(): Promise<Pending[]> {
    const { clock } = this.#deps
    const stable: Pending[] = []
    const nowMs = clock.monotonicMs()
    const due = [...this.#pending.values()].filter(({ nextLookMs }) => nextLookMs <= nowMs)
    const half = Math.floor(mostAtOnce / 2)
    const some = due.length > mostAtOnce ? [...due.slice(0, half), ...due.slice(-half)] : due
    for (const pending of some) {
      // Whatever comes of this look.
      pending.nextLookMs = nowMs + lookAgainMs
      await this.#apart(pending.path, async () => {
        const info = await lstat(pending.path).catch(ignoreMissing)
        if (!info?.isFile()) return this.#forget(pending)
        const { size: bytes, mtimeMs, ino: inode } = info
        if (bytes !== pending.bytes || mtimeMs !== pending.mtimeMs || inode !== pending.inode)
          Object.assign(pending, { bytes, mtimeMs, inode, unchangedSinceMs: clock.monotonicMs() })
        const stableFromMs = pending.unchangedSinceMs + this.#quietMs(pending.inOpen)
        if (stableFromMs <= nowMs) stable.push(pending)
        else pending.nextLookMs = Math.min(stableFromMs, nowMs + changesEveryMs)
      })
    }
    return stable
  }

  #quietMs(inOpen: boolean): number {
    return inOpen ? this.#deps.stableAfterMs : closedStableMs
  }

  async #holders(files: Pending[]): Promise<(file: Pending) => boolean | undefined> {
    const { openFiles, problems } = this.#deps
    const seen = await openFiles.at(files.map(({ path }) => path))
    if (openFiles.source === 'lsof') problems.over('lsof')
    else {
      const sentence =
        openFiles.source === 'proc'
          ? 'lsof cannot be run; looking into /proc instead'
          : 'open files cannot be seen; waiting for STABLE_SECONDS instead: install lsof'
      problems.report('lsof', openFiles.source, {}, sentence)
    }
    if (!seen) return () => undefined
    const written = new Set(seen.filter(({ writable }) => writable).map(({ path }) => path))
    const opened = new Set(seen.map(({ path }) => path))
    // What the recorder still reads it will close itself, when its times are known.
    return ({ path, inOpen }) => (inOpen ? opened : written).has(path)
  }

  async #deliver(pending: Pending): Promise<void> {
    const { folders, queue } = this.#deps
    const path = pending.inOpen
      ? await moveInto(folders.recordings, pending.path, closedName(basename(pending.path)))
      : pending.path
    this.#forget(pending)
    if (path === undefined) return
    const { bytes, mtimeMs } = pending
    queue.offer({ path, bytes, startMs: startMs({ file: basename(path), mtimeMs }, 0) })
  }

  #forget({ path }: Pending): void {
    this.#pending.delete(path)
    this.#noTrouble(path)
  }

  #isKnown(path: string): boolean {
    return this.#pending.has(path) || this.#deps.queue.has(path)
  }

  /** A folder that was replaced is watched anew. */
  async #watch(): Promise<void> {
    const { recordings } = this.#deps.folders
    const { ino: inode } = await lstat(recordings)
    if (this.#watched?.inode === inode) return
    await this.#unwatch()
    const watcher = watch(recordings, {
      depth: 0,
      ignoreInitial: true,
      // chokidar watches each file for itself; what is known already needs no watch.
      ignored: (path) => path !== recordings && (!path.endsWith('.mp4') || this.#isKnown(path)),
    })
    watcher.on('add', (path) => this.hint(path))
    watcher.on('change', (path) => this.hint(path))
    watcher.on('error', (error) => {
      const reason = describeError(error)
      const sentence = 'cannot be told of new files; looking every RESCAN_SECONDS instead'
      this.#deps.problems.report('watch', reason, { reason }, sentence)
    })
    this.#watched = { inode, watcher }
  }

  async #unwatch(): Promise<void> {
    await this.#watched?.watcher.close()
    this.#watched = undefined
  }
}

/** `20250125153045`: good enough an order for a first look, where the instant that is meant costs much more. */
function timeByName(path: string): number {
  const name = parseSegmentName(basename(path))
  return name ? Number(name.date + name.time) : 0
}

import { lstat, statfs, unlink } from 'node:fs/promises'
import { basename } from 'node:path'
import { runChild } from '../daemon/child.ts'
import { describeError } from '../daemon/logger.ts'
import { bytesOnDisk, ignoreMissing } from '../segments/folders.ts'
import type { Gaps } from '../segments/gaps.ts'
import { parseSegmentName } from '../segments/segment-name.ts'
import { DiskForecast } from './disk-forecast.ts'
import { pruneEarly, type PrunerDeps } from './pruner.ts'
import type { Segment } from './upload-queue.ts'

/** What to do when only footage that waits could still be deleted. */
export const diskFullPolicies = ['keep', 'drop-oldest'] as const
export type DiskFullPolicy = (typeof diskFullPolicies)[number]

export interface FreeSpaceDeps extends PrunerDeps {
  /** 0: nothing is done about a disk that fills up. */
  minFreeBytes: number
  onDiskFull: DiskFullPolicy
  queue: { waiting: Segment[]; withdraw(path: string): boolean }
  gaps: Gaps
}

/** The disk of `recordings/`, as the status shows it. */
export interface DiskState {
  freeBytes?: number
  minFreeBytes: number
  /** At the rate of the last hour; absent where free space doesn't clearly decline. */
  fullInHours?: number
}

const lookEveryMs = 10_000
/** A shortage is over when so much more than the minimum is free, lest it end at every file. */
const overFactor = 1.1
/** So much is made free, for what is recorded meanwhile, lest each pruning seem to fail. */
const pruneFactor = 1.02
/** Where deleting frees nothing (snapshots hold it), footage is not thrown after footage. */
const vainPauseMs = 10 * 60_000
const reserveFromBytes = 4e6
const syncAtMostMs = 30_000
const sentence = 'free space has fallen below MIN_FREE_DISK_GB'

/** Keeps a minimum of the disk free for what cameras send: every ten seconds. */
export class FreeSpace {
  readonly #deps: FreeSpaceDeps
  readonly #forecast = new DiskForecast()
  /** Once `uploaded/` has made room, and before footage is dropped: that mends nothing. */
  #freeBytes: number | undefined
  #isShort = false
  #dropAgainMs = 0

  constructor(deps: FreeSpaceDeps) {
    this.#deps = deps
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, problems } = this.#deps
    while (!signal.aborted) {
      try {
        await this.look(signal)
        problems.over('disk look')
      } catch (error) {
        const reason = describeError(error)
        problems.report('disk look', reason, { reason }, 'cannot look after free space')
      }
      await clock.sleep(lookEveryMs, signal)
    }
  }

  get status(): DiskState {
    const { fullInHours } = this.#forecast
    return {
      minFreeBytes: this.#deps.minFreeBytes,
      ...(this.#freeBytes === undefined ? {} : { freeBytes: this.#freeBytes }),
      ...(fullInHours === undefined ? {} : { fullInHours }),
    }
  }

  /** Looks once, and makes room where it must. */
  async look(signal: AbortSignal): Promise<void> {
    const { ledger, minFreeBytes, onDiskFull } = this.#deps
    const beforeBytes = await this.#measure()
    if (beforeBytes === undefined) return
    this.#forecast.add({ atMs: this.#deps.clock.monotonicMs(), freeBytes: beforeBytes })
    // Not the last room there is.
    if (beforeBytes >= reserveFromBytes) await ledger.reserve.fill().catch(() => {})
    if (minFreeBytes > 0) await this.#prune(signal)
    const freeBytes = (await this.#measure()) ?? beforeBytes
    this.#freeBytes = freeBytes
    if (minFreeBytes === 0) return
    const isHelped = freeBytes >= minFreeBytes
    const dropped = !isHelped && onDiskFull === 'drop-oldest' ? await this.#dropOldest(signal) : 0
    if (beforeBytes < minFreeBytes) await this.#report(shortage(onDiskFull, isHelped, dropped))
    else if (this.#isShort && beforeBytes >= minFreeBytes * overFactor)
      this.#reportOver(beforeBytes)
  }

  /** Mostly it is the same disk; where it isn't, this keeps room for what moves to uploaded/. */
  async #prune(signal: AbortSignal): Promise<void> {
    const { folders, minFreeBytes } = this.#deps
    const freeBytes = (await freeBytesAt(folders.uploaded)) ?? Infinity
    if (freeBytes < minFreeBytes)
      await pruneEarly(this.#deps, minFreeBytes * pruneFactor - freeBytes, signal)
  }

  async #measure(): Promise<number | undefined> {
    return freeBytesAt(this.#deps.folders.recordings)
  }

  /** Returns how many bytes it has dropped. */
  async #dropOldest(signal: AbortSignal): Promise<number> {
    const { folders, minFreeBytes, queue, clock } = this.#deps
    if (clock.monotonicMs() < this.#dropAgainMs) return 0
    const beforeBytes = await this.#settledBytes(signal)
    let dropped = 0
    for (const segment of oldestFirst(queue.waiting)) {
      if (signal.aborted || beforeBytes + dropped >= minFreeBytes) break
      dropped += await this.#drop(segment)
    }
    if (dropped === 0) return 0
    const gained = (await this.#settledBytes(signal)) - beforeBytes
    if (gained >= dropped / 2) return dropped
    this.#dropAgainMs = clock.monotonicMs() + vainPauseMs
    const reason = `deleting frees no room at ${folders.recordings}: do snapshots hold it?`
    this.#deps.problems.report('disk snapshots', reason, { dropped, gained }, reason)
    return dropped
  }

  /** Btrfs and others show what was freed only when it is committed: without that, too much goes. */
  async #settledBytes(signal: AbortSignal): Promise<number> {
    await runChild(
      ['sync', '-f', this.#deps.folders.recordings],
      { atMostMs: syncAtMostMs },
      signal,
    )
    return (await this.#measure()) ?? 0
  }

  /** The gap is noted after the deletion, which makes the room for its line. */
  async #drop({ path, startMs }: Segment): Promise<number> {
    const { queue, gaps, log } = this.#deps
    // From here on no upload can begin with it.
    if (!queue.withdraw(path)) return 0
    const info = await lstat(path).catch(ignoreMissing)
    if (!info) return 0
    await unlink(path)
    const file = basename(path)
    const bytes = bytesOnDisk(info)
    log.error({ file, bytes }, 'dropped, and not in S3: the disk is full (ON_DISK_FULL)')
    const camera = parseSegmentName(file)?.camera ?? 'unknown'
    const reason = 'dropped: disk full'
    await gaps.append({ camera, fromMs: startMs, toMs: info.mtimeMs, reason })
    return bytes
  }

  async #report(reason: string): Promise<void> {
    this.#isShort = true
    const freeBytes = await this.#measure()
    this.#deps.problems.report('disk', reason, { reason, freeBytes }, sentence)
  }

  #reportOver(freeBytes: number): void {
    this.#isShort = false
    const over = this.#deps.problems.over('disk')
    this.#deps.problems.over('disk snapshots')
    this.#deps.log.info({ since: over?.since, freeBytes }, 'there is room on the disk again')
  }
}

/** What is done about a shortage, in words that don't vary. */
export function shortage(policy: DiskFullPolicy, isHelped: boolean, dropped: number): string {
  if (isHelped) return 'uploaded/ is pruned early'
  if (dropped > 0) return 'the oldest footage that waits is dropped, though it is not in S3'
  const rest = 'recording goes on until the disk is full: make room on it'
  return policy === 'keep'
    ? `nothing more in uploaded/ may be deleted; ${rest}`
    : `nothing more may be deleted; ${rest}`
}

function oldestFirst(segments: Segment[]): Segment[] {
  return segments.toSorted((a, b) => a.startMs - b.startMs)
}

/** What anybody but root may still write; undefined if the folder isn't there. */
async function freeBytesAt(folder: string): Promise<number | undefined> {
  const disk = await statfs(folder).catch(ignoreMissing)
  return disk && disk.bavail * disk.bsize
}

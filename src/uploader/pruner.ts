import type { Stats } from 'node:fs'
import { lstat, readdir, unlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Clock } from '../daemon/clock.ts'
import { describeError, type Log } from '../daemon/logger.ts'
import type { ClosedSegments } from '../segments/closed-segments.ts'
import {
  bytesOnDisk,
  fileCrc32,
  ignoreMissing,
  moveInto,
  type Folders,
} from '../segments/folders.ts'
import { closedName, earlierNames, parseSegmentName } from '../segments/segment-name.ts'
import { crcText, fingerprint, SourceChanged } from './fingerprint.ts'
import { segmentDay, type Ledger, type LedgerLine } from './ledger.ts'
import { ledgerLine, objectKey } from './object-description.ts'
import { findStored } from './object-place.ts'
import { StoreError, type ObjectStore } from './object-store.ts'
import type { ProblemLog } from '../daemon/problem-log.ts'

export interface PrunerDeps {
  store: ObjectStore
  ledger: Ledger
  closed: ClosedSegments
  folders: Folders
  prefix: string
  retentionMs: number
  /** While the store fails there is no point in asking it for proofs. */
  storeFails: () => boolean
  problems: ProblemLog
  log: Log
  clock: Clock
}

const everyMs = 2 * 60_000

/** When files are due at the earliest, by the store's clock in epoch ms; others are to be judged. */
type DueTimes = Map<string, number>

/** Deletes from `uploaded/` what is due and proven to be in S3, and what nobody asks of files that are gone; every two minutes. */
export async function keepPruned(deps: PrunerDeps, signal: AbortSignal): Promise<void> {
  let dueTimes: DueTimes = new Map()
  while (!signal.aborted) {
    dueTimes = await pruneAll(deps, signal, dueTimes)
    await forgetClosed(deps)
    await deps.clock.sleep(everyMs, signal)
  }
}

/** One round, which passes over what isn't due by the last; a file that can't be judged now is judged in the next. */
export async function pruneAll(
  deps: PrunerDeps,
  signal: AbortSignal,
  dueTimes: DueTimes = new Map(),
): Promise<DueTimes> {
  const next: DueTimes = new Map()
  for (const path of await uploadedFiles(deps)) {
    if (signal.aborted) break
    const knownMs = dueTimes.get(path)
    const isEarly = knownMs !== undefined && knownMs > storeTime(deps)
    const dueMs = isEarly ? knownMs : await pruneOne(deps, path, signal)
    if (dueMs !== undefined) next.set(path, dueMs)
  }
  return next
}

/**
 * Deletes the oldest files before their time until so many bytes are free; none but what a ledger
 * line proves by its name, bytes and CRC32.
 */
export async function pruneEarly(
  deps: PrunerDeps,
  bytes: number,
  signal: AbortSignal,
): Promise<void> {
  let freed = 0
  for (const path of await uploadedFiles(deps)) {
    if (signal.aborted || freed >= bytes) return
    await judge(deps, path, signal, async (info) => {
      const lines = await linesFor(deps, basename(path), info)
      const [proof] = await proofsOf(path, lines, signal)
      if (proof) freed += await remove(deps, path, info, proof)
    })
  }
}

/**
 * Deletes one file if a ledger line proves its name, bytes and CRC32, and it is due; else returns
 * when it may be. One without any line is proven by the store, or goes back to be shipped.
 */
export async function pruneOne(
  deps: PrunerDeps,
  path: string,
  signal: AbortSignal,
): Promise<number | undefined> {
  // Both by the store's clock: where ours is wrong, or jumps, nothing goes too early for that.
  const dueMs = ({ uploadedAt }: LedgerLine): number => Date.parse(uploadedAt) + deps.retentionMs
  const isDue = (line: LedgerLine): boolean =>
    deps.retentionMs === 0 || dueMs(line) <= storeTime(deps)
  let earliestMs: number | undefined
  await judge(deps, path, signal, async (info) => {
    const lines = await linesFor(deps, basename(path), info)
    if (lines.length > 0 && !lines.some(isDue)) {
      earliestMs = Math.min(...lines.map(dueMs))
      return
    }
    const proofs = await proofsOf(path, lines, signal)
    const [proof] = proofs
    if (!proof) await proveOrReturn(deps, path, signal)
    else if (proofs.every(isDue)) await remove(deps, path, info, proof)
  })
  return earliestMs
}

/** Deletes the days of `data/closed/` of which no file is left on this machine. */
export async function forgetClosed({ closed, folders, problems }: PrunerDeps): Promise<void> {
  const { open, recordings, uploaded, quarantine } = folders
  const subject = 'data/closed'
  try {
    const kept = [open, recordings, uploaded, quarantine].map(async (folder) => readdir(folder))
    const files = (await Promise.all(kept)).flat().map(closedName).filter(parseSegmentName)
    const [oldest] = files.map((file) => segmentDay(file, 0)).sort()
    await closed.dropBefore(oldest ?? '9999-12-31')
    problems.over(subject)
  } catch (error) {
    const reason = describeError(error)
    problems.report(subject, reason, { reason }, 'data/closed/ cannot be pruned')
  }
}

/** Before the store has told its time, nothing is due. */
function storeTime({ store }: PrunerDeps): number {
  return store.now() ?? -Infinity
}

/** The files of `uploaded/`, oldest first: so that a ledger is read once for all files of its day. */
async function uploadedFiles({ folders, problems }: PrunerDeps): Promise<string[]> {
  const names = await readdir(folders.uploaded).catch((error: unknown) => {
    const reason = describeError(error)
    problems.report('pruner', reason, { reason }, 'cannot look into uploaded/')
    return []
  })
  const files = names.filter((name) => name.endsWith('.mp4'))
  const moments = new Map(files.map((file) => [file, momentOf(file)]))
  const isBefore = (a: string, b: string): boolean => moments.get(a)! < moments.get(b)!
  return files.sort((a, b) => (isBefore(a, b) ? -1 : 1)).map((name) => join(folders.uploaded, name))
}

function momentOf(file: string): string {
  const name = parseSegmentName(file)
  return name ? `${name.date}${name.time}` : file
}

/** Judges one file; what can't be judged now is reported, and stays. */
async function judge(
  { problems }: PrunerDeps,
  path: string,
  signal: AbortSignal,
  verdict: (info: Stats) => Promise<void>,
): Promise<void> {
  try {
    const info = await lstat(path).catch(ignoreMissing)
    if (!info?.isFile()) return
    await verdict(info)
    problems.over(path)
  } catch (error) {
    if (signal.aborted || error instanceof SourceChanged) return
    // The store's health has its own voice.
    if (error instanceof StoreError && error.storeWide) return
    const reason = describeError(error)
    problems.report(path, reason, { file: basename(path), reason }, 'cannot be pruned')
  }
}

/** Those of the lines that name the file's content. */
async function proofsOf(
  path: string,
  lines: LedgerLine[],
  signal: AbortSignal,
): Promise<LedgerLine[]> {
  if (lines.length === 0) return []
  const crc32 = crcText(await fileCrc32(path, signal))
  return lines.filter((line) => line.crc32 === crc32)
}

/** Returns how many bytes that has freed; another round may have been faster. */
async function remove(
  { log }: PrunerDeps,
  path: string,
  info: Stats,
  { key }: LedgerLine,
): Promise<number> {
  const isOurs = await unlink(path).then(() => true, ignoreMissing)
  if (!isOurs) return 0
  log.info({ file: basename(path), bytes: info.size, key }, 'pruned')
  return bytesOnDisk(info)
}

/** Lines that may speak of this file. */
async function linesFor(
  { ledger }: PrunerDeps,
  file: string,
  { size, mtimeMs }: { size: number; mtimeMs: number },
): Promise<LedgerLine[]> {
  const lines = await ledger.linesOf(file, segmentDay(file, mtimeMs))
  return lines.filter(({ bytes }) => bytes === size)
}

async function proveOrReturn(deps: PrunerDeps, path: string, signal: AbortSignal): Promise<void> {
  if (deps.storeFails()) return
  const { store, ledger, folders, prefix, log } = deps
  const file = basename(path)
  // An earlier system may have left objects without a CRC32.
  const content = await fingerprint(path, 'etag', signal)
  const { mtimeMs } = content
  const keys = [file, ...earlierNames(file)].map((name) => objectKey(prefix, name, mtimeMs))
  const question = { keys, content: async () => content, refused: true }
  const object = await findStored(store, question, signal)
  if (object) {
    const line = ledgerLine({ file, mtimeMs }, content, object, store)
    await ledger.append(line, segmentDay(file, mtimeMs))
    log.info({ file, key: object.key }, 'found in the store; noted in the ledger')
  } else if (await moveInto(folders.recordings, path))
    log.warn({ file }, 'lay in uploaded/ without being in the store; to be uploaded')
}

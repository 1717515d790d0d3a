import type { Stats } from 'node:fs'
import { lstat } from 'node:fs/promises'
import { basename, parse } from 'node:path'
import { ignoreMissing, moveInto, otherName, type Folders } from '../segments/folders.ts'
import type { ClosedSegments } from '../segments/closed-segments.ts'
import { cameraPaused, type Gaps } from '../segments/gaps.ts'
import { earlierNames, parseSegmentName } from '../segments/segment-name.ts'
import { finalize, type Finalized } from './finalize.ts'
import {
  fingerprint,
  fingerprintOfWritten,
  isUnchanged,
  SourceChanged,
  type Fingerprint,
} from './fingerprint.ts'
import { segmentDay, type Ledger, type LedgerLine } from './ledger.ts'
import { describeObject, ledgerLine, objectKey } from './object-description.ts'
import type { StoredObject } from './object-store.ts'
import type { MediaTools } from './run-tool.ts'
import { discard, quarantine } from './set-aside.ts'
import { findPlace, findStored, type Place } from './object-place.ts'
import { pausesIn } from './pauses.ts'
import type { SoundEncoder } from './sound-encoder.ts'
import { uploadContent, type UploadDeps } from './upload-content.ts'

export interface ShipDeps extends UploadDeps {
  ledger: Ledger
  gaps: Gaps
  folders: Folders
  tools: MediaTools
  closed: ClosedSegments
  sounds: SoundEncoder
  /** Of every key; may be empty. */
  prefix: string
  /** When this process began, by the clock on the wall: no other has seen what was recorded since. */
  startedMs: number
}

/** A camera that delivers a frame now and then would fill the disk with lines. */
const mostPauses = 100

/** How the shipping of a file ended, if nothing failed. */
export type ShipEnd =
  | { why: 'shipped'; path: string; key: string; bytes: number }
  /** Somebody writes to it again: it isn't finished. */
  | { why: 'changed' }
  /** Its sound is being encoded. */
  | { why: 'waiting' }
  /** It isn't there any more; there was nothing in it; it doesn't play. */
  | { why: 'gone' | 'discarded' | 'quarantined' }

/**
 * Brings one finished file into S3 and `uploaded/`, or says why not. Can be killed at any moment
 * and begun again: what is done already is found, and nothing is done twice.
 */
export async function shipSegment(
  deps: ShipDeps,
  path: string,
  onSent: (bytes: number) => void,
  signal: AbortSignal,
): Promise<ShipEnd> {
  try {
    const info = await lstat(path)
    if (!info.isFile()) return { why: 'gone' }
    if (info.size > 0) return await shipFile(deps, { path, mtimeMs: info.mtimeMs, onSent }, signal)
    return await setAside(deps, { path, before: info, end: { is: 'header-only' } })
  } catch (error) {
    if (error instanceof SourceChanged) return { why: 'changed' }
    const gone = (await lstat(path).catch(ignoreMissing)) === undefined
    if (gone && !signal.aborted) return { why: 'gone' }
    throw error
  } finally {
    deps.claims.dropAll(path)
  }
}

type Unplayable = Exclude<Finalized, { is: 'playable' | 'waiting' }>

interface Shipment {
  path: string
  mtimeMs: number
  onSent: (bytes: number) => void
}

async function shipFile(deps: ShipDeps, shipment: Shipment, signal: AbortSignal): Promise<ShipEnd> {
  const { path, mtimeMs, onSent } = shipment
  const file = basename(path)
  const key = objectKey(deps.prefix, file, mtimeMs)
  // As it is first: a crash may have left it uploaded in just this state.
  let asItIs: Promise<Fingerprint> | undefined
  const { store, claims, prefix } = deps
  // Whoever has stored it: not all keep a CRC32.
  const contentAsItIs = async (): Promise<Fingerprint> =>
    (asItIs ??= fingerprint(path, 'etag', signal))
  const question = { key, path, claims, refused: false }
  let place =
    unseenPlace(deps, shipment, key) ??
    (await findPlace(store, { ...question, content: contentAsItIs }, signal))
  if (place.is === 'done') return accept(deps, shipment, place.object, await contentAsItIs())
  const keys = earlierNames(file).map((name) => objectKey(prefix, name, mtimeMs))
  const stored = await findStored(store, { keys, content: contentAsItIs, refused: false }, signal)
  if (stored) return accept(deps, shipment, stored, await contentAsItIs())

  await finishMove(deps.folders, path)
  const before = await lstat(path)
  const finalized = await finalize({ ...deps, proof: store.proof }, path, signal)
  if (finalized.is === 'waiting') return { why: 'waiting' }
  if (finalized.is !== 'playable') return setAside(deps, { path, before, end: finalized })
  const { asItIs: reason, sums, startMs, parts } = finalized
  if (parts !== undefined) deps.log.info({ file, parts }, 'divided where its picture changes')
  if (reason) deps.log.warn({ file, reason }, 'not finalized; uploading it as it is')
  const content = sums
    ? await fingerprintOfWritten(path, sums)
    : await fingerprint(path, store.proof, signal)
  // Its own remux keeps the mtime to the millisecond.
  if (Math.abs(content.mtimeMs - mtimeMs) >= 1) return { why: 'changed' }
  if (place.key !== key) {
    const found = await findPlace(store, { ...question, content: async () => content }, signal)
    // What was broken as it was is ours to replace, whatever it has become.
    if (found.is === 'done' || place.is === 'free') place = found
  }
  const metadata = describeObject({ file, mtimeMs, startMs }, content, finalized.media)
  const object = await uploadContent(deps, { path, key, content, metadata, place, onSent }, signal)
  return object ? accept(deps, shipment, object, content) : { why: 'changed' }
}

/** Where a file goes that can't be in the store yet, which says so itself if another is there. */
function unseenPlace(
  { store, claims, startedMs }: ShipDeps,
  { path, mtimeMs }: Shipment,
  key: string,
): Place | undefined {
  const isNew = mtimeMs >= startedMs && !claims.hasBegun(path)
  const isPlain = earlierNames(basename(path)).length === 0
  if (!store.refusesOverwrite || !isNew || !isPlain || !claims.take(key, path)) return undefined
  return { is: 'free', key }
}

/**
 * A crash in a move leaves a file under two names. A remux replaces one of them only, and the other
 * would come back as different footage: so that goes first.
 */
async function finishMove({ open, uploaded, recordings }: Folders, path: string): Promise<void> {
  const file = basename(path)
  for (const folder of [open, uploaded]) {
    const other = await otherName(path, folder, parse(earlierNames(file).at(-1) ?? file).name)
    if (other !== undefined) await moveInto(recordings, other, file)
  }
}

/** Takes a file out of the queue that holds no footage, or doesn't play, unless it has changed. */
async function setAside(
  deps: ShipDeps,
  { path, before, end }: { path: string; before: Stats; end: Unplayable },
): Promise<ShipEnd> {
  const now = await lstat(path)
  const isSame = (['dev', 'ino', 'size', 'mtimeMs'] as const).every((f) => now[f] === before[f])
  if (!isSame) return { why: 'changed' }
  if (end.is === 'invalid') {
    await quarantine(deps, path, end.reason)
    return { why: 'quarantined' }
  }
  await discard(deps.log, path, before.size === 0 ? 'an empty file' : 'a header without footage')
  return { why: 'discarded' }
}

/** The object is verified: the ledger says so, and the file moves to `uploaded/`. */
async function accept(
  deps: ShipDeps,
  { path, mtimeMs }: Shipment,
  object: StoredObject,
  content: Fingerprint,
): Promise<ShipEnd> {
  const { store, ledger, folders, log, claims } = deps
  const file = basename(path)
  if (!(await isUnchanged(path, content))) return { why: 'changed' }
  const day = segmentDay(file, mtimeMs)
  const line = ledgerLine({ file, mtimeMs }, content, object, store)
  const known = (await ledger.linesOf(file, day)).some((old) =>
    (['bytes', 'crc32', 'key', 'bucket', 'endpoint'] as const).every((f) => old[f] === line[f]),
  )
  if (!known) await notePauses(deps, path, line)
  // A crash may have come between the writing of a line and its sync.
  await (known ? ledger.sync(day) : ledger.append(line, day))
  claims.accepted(path)
  const moved = await moveInto(folders.uploaded, path)
  if (!moved) return { why: 'gone' }
  log.info({ file }, 'moved to uploaded/')
  return { why: 'shipped', path: moved, key: object.key, bytes: content.bytes }
}

/** What is missing within the file becomes lines in `data/gaps/`; no failure of that keeps footage from S3. */
async function notePauses(
  { gaps, log }: ShipDeps,
  path: string,
  { file, camera, start }: LedgerLine,
): Promise<void> {
  if (!parseSegmentName(file)) return
  try {
    const pauses = await pausesIn(path)
    if (pauses.length === 0) return
    const missing = rounded(pauses.reduce((sum, { seconds }) => sum + seconds, 0))
    log.info({ file, pauses: pauses.length, missing }, cameraPaused)
    const startMs = Date.parse(start)
    const noted = pauses.slice(0, mostPauses).map(({ atSeconds, seconds }) => {
      const fromMs = startMs + atSeconds * 1000
      return { camera, fromMs, toMs: fromMs + seconds * 1000, reason: cameraPaused }
    })
    await gaps.appendNew(noted)
  } catch (error) {
    log.warn({ file, error }, 'pauses cannot be noted')
  }
}

function rounded(seconds: number): number {
  return Math.round(seconds * 10) / 10
}

import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ClosedSegments } from '../segments/closed-segments.ts'
import { foldersBelow, ignoreMissing, type Folders } from '../segments/folders.ts'
import { Gaps, type Gap, type OpenGap } from '../segments/gaps.ts'
import { parseSegmentName } from '../segments/segment-name.ts'
import { Ledger, type LedgerLine } from '../uploader/ledger.ts'
import type { StatusHeader } from '../daemon/status-file.ts'
import type { Environment } from '../daemon/environment.ts'
import { requireBase } from './base-folder.ts'
import { knownBase, type RecorderStatus } from './installation-report.ts'
import { silentAfterMs } from './judgement.ts'
import { localFiles, type LocalFile } from './local-files.ts'
import { seamMs, type Span } from './spans.ts'
import { stretchesOf, stretchOf, type Stretch } from './stretches.ts'

const hourMs = 3600 * 1000
const dayMs = 24 * hourMs
/** A shorter file behind the beginning of a gap is none that ends it. */
const leastFootageMs = 250

/** What is known of an installation; throws an Error for the operator where its base is not there. */
export function footageOf(environment: Environment, nowMs: number): KnownFootage {
  const base = knownBase(environment)
  requireBase(base)
  const seconds = Number(environment.variables.SEGMENT_DURATION)
  return new KnownFootage(foldersBelow(base), nowMs, seconds > 0 ? seconds * 1000 : hourMs)
}

/**
 * What is known of an installation's footage, from the files that the daemons keep: none need run.
 * Each file is read once, so that this is how it was at the first question.
 */
export class KnownFootage {
  readonly folders: Folders
  readonly #nowMs: number
  readonly #unknownMs: number
  readonly #ledger: Ledger
  readonly #closed: ClosedSegments
  readonly #days = new Map<string, Promise<LedgerLine[]>>()
  #local: Promise<LocalFile[]> | undefined
  #gaps: Promise<Gap[]> | undefined

  /** `unknownMs` is how long a file may last that says nothing of it. */
  constructor(folders: Folders, nowMs: number, unknownMs = hourMs) {
    this.folders = folders
    this.#nowMs = nowMs
    this.#unknownMs = unknownMs
    this.#ledger = new Ledger(folders.ledger)
    this.#closed = new ClosedSegments(folders.closed)
  }

  /** Every file with footage of some time, or of a moment. */
  async stretches({ fromMs, toMs }: Span): Promise<Stretch[]> {
    const days = await this.#ledger.days()
    const wanted = days.filter((day) => {
      const { fromMs: earliestMs, toMs: latestMs } = reachOf(day)
      return earliestMs <= toMs && latestMs > fromMs
    })
    const lines = (await Promise.all(wanted.map(async (day) => this.#linesOn(day)))).flat()
    return stretchesOf(lines, await this.#localFiles(), this.#unknownMs)
      .filter((stretch) => stretch.toMs > fromMs && stretch.fromMs <= toMs)
      .sort((a, b) => a.fromMs - b.fromMs)
  }

  /** Every gap that was noted, those of which nobody has noted the end, and what does not play. */
  async gaps(): Promise<Gap[]> {
    const { gaps: folder } = this.folders
    return (this.#gaps ??= Promise.all([
      new Gaps(folder).all(),
      this.#openGaps(),
      this.#unplayable(),
    ]).then((gaps) => gaps.flat()))
  }

  /** The times that this machine's clock has passed over: nothing is missing in them. */
  async passedOver(): Promise<Gap[]> {
    return new Gaps(this.folders.gaps).passedOver()
  }

  async #unplayable(): Promise<Gap[]> {
    const files = await localFiles({ waiting: [this.folders.quarantine] }, this.#closed)
    const reason = 'does not play: see data/quarantine'
    return files.map(({ camera, fromMs, toMs }) => ({
      ...{ camera, reason, fromMs },
      // Somebody may have touched it.
      toMs: Math.min(toMs, fromMs + dayMs),
    }))
  }

  /** Gaps without an end: from their lines, and from the recorder's last status. */
  async #openGaps(): Promise<Gap[]> {
    const said = new Map((await this.#saidGaps()).map((gap) => [gap.camera, gap]))
    const current = await this.currentCameras()
    const over: Gap[] = []
    for (const gap of await new Gaps(this.folders.gaps).stillOpen()) {
      const { camera, fromMs, reason } = gap
      const nextMs = await this.#nextFootage(gap)
      if (nextMs !== undefined) over.push({ ...gap, toMs: Math.max(fromMs, nextMs) })
      // Nobody knows until when a camera was missed that is recorded no more.
      else if (current?.includes(camera) ?? true) {
        const known = said.get(camera)?.reason ?? reason
        said.set(camera, { ...gap, toMs: this.#nowMs, reason: known })
      }
    }
    return [...over, ...said.values()].filter(({ fromMs, toMs }) => toMs > fromMs)
  }

  /** When the footage of a camera goes on behind a gap. */
  async #nextFootage({ camera, fromMs }: OpenGap): Promise<number | undefined> {
    const behind = await this.stretches({ fromMs: fromMs + leastFootageMs, toMs: this.#nowMs })
    // The name of one that is still open has whole seconds.
    return behind.find((it) => it.camera === camera && it.fromMs > fromMs - seamMs)?.fromMs
  }

  async #saidGaps(): Promise<Gap[]> {
    const nowMs = this.#nowMs
    const { cameras = [], startedAt, updatedAt = '', pid } = await this.#recorderStatus()
    const isSilent = !(nowMs - Date.parse(updatedAt) < silentAfterMs) || !isRunning(pid)
    return cameras.flatMap(({ name, footageUntil, gap }) => {
      const reason = gap ?? (isSilent ? 'recorder down' : undefined)
      // One that was never recorded is known to be missing since it was tried.
      const fromMs = Date.parse(footageUntil ?? (gap === undefined ? '' : (startedAt ?? '')))
      return reason !== undefined && fromMs < nowMs
        ? [{ camera: name, fromMs, toMs: nowMs, reason }]
        : []
    })
  }

  /**
   * When the first footage of each camera begins of which anything is known, in epoch ms; later
   * than some moment nobody needs to know.
   */
  async firstOf(cameras: string[], untilMs: number): Promise<Map<string, number>> {
    const first = new Map<string, number>()
    const note = (camera: string, beganMs: number): void => {
      if (cameras.includes(camera))
        first.set(camera, Math.min(first.get(camera) ?? Infinity, beganMs))
    }
    for (const { camera, fromMs } of await this.#localFiles()) note(camera, fromMs)
    for (const { camera, fromMs } of await this.gaps()) note(camera, fromMs)
    for (const day of await this.#ledger.days()) {
      const { fromMs } = reachOf(day)
      const isKnown = cameras.every((camera) => (first.get(camera) ?? Infinity) < fromMs)
      if (isKnown || fromMs > untilMs) break
      for (const { camera, start } of await this.#linesOn(day)) note(camera, Date.parse(start))
    }
    return first
  }

  /**
   * When the last footage of each camera ends that ends after `fromMs`; of one that goes on after
   * `untilMs`, some moment after that.
   */
  async lastOf(cameras: string[], { fromMs, toMs: untilMs }: Span): Promise<Map<string, number>> {
    const last = new Map<string, number>()
    const note = ({ camera, toMs }: { camera: string; toMs: number }): void => {
      if (cameras.includes(camera)) last.set(camera, Math.max(last.get(camera) ?? 0, toMs))
    }
    for (const local of await this.#localFiles()) note(local)
    for (const day of await this.#ledger.days()) {
      if (cameras.every((camera) => (last.get(camera) ?? 0) > untilMs)) break
      if (reachOf(day).toMs <= fromMs) continue
      for (const line of await this.#linesOn(day)) note(stretchOf(line, undefined))
    }
    return last
  }

  /** The cameras of which something was recorded of late, or ever, by name. */
  async cameras(ever = false): Promise<string[]> {
    const days = (await this.#ledger.days()).slice(ever ? 0 : -7)
    const lines = (await Promise.all(days.map(async (day) => this.#linesOn(day)))).flat()
    // What is no segment is of no camera.
    const stored = lines.filter(({ file }) => parseSegmentName(file))
    const all = [...stored, ...(await this.#localFiles()), ...(await this.gaps())]
    return [...new Set(all.map(({ camera }) => camera))].sort()
  }

  /** Those of which more is to be expected; undefined where no recorder has ever said. */
  async currentCameras(): Promise<string[] | undefined> {
    return (await this.#recorderStatus()).cameras?.map(({ name }) => name)
  }

  async #recorderStatus(): Promise<Partial<StatusHeader & RecorderStatus>> {
    const path = join(this.folders.status, 'recorder.json')
    return parseStatus((await readFile(path, 'utf8').catch(ignoreMissing)) ?? '')
  }

  async #linesOn(day: string): Promise<LedgerLine[]> {
    const read = async (): Promise<LedgerLine[]> =>
      (await this.#ledger.linesOn(day)).filter(isWhole)
    const known = this.#days.get(day) ?? read()
    this.#days.set(day, known)
    return known
  }

  async #localFiles(): Promise<LocalFile[]> {
    const { open, recordings, uploaded } = this.folders
    return (this.#local ??= localFiles({ waiting: [open, recordings], uploaded }, this.#closed))
  }
}

/**
 * When the footage can have been recorded that the ledger has under a day: a segment belongs to the
 * day when it began, and lasts one at most; the time zone may have been another.
 */
function reachOf(day: string): Span {
  const beginMs = Date.parse(`${day}T00:00:00`)
  return { fromMs: beginMs - dayMs, toMs: beginMs + 3 * dayMs }
}

/** That a line says what is asked of it here: somebody may have edited the ledger. */
function isWhole({ camera, start, endpoint, bucket, key }: Partial<LedgerLine>): boolean {
  const texts = [camera, start, endpoint, bucket, key]
  return texts.every((text) => typeof text === 'string') && !Number.isNaN(Date.parse(String(start)))
}

function isRunning(pid: number | undefined): boolean {
  return pid !== undefined && existsSync(`/proc/${pid}`)
}

function parseStatus(text: string): Partial<StatusHeader & RecorderStatus> {
  try {
    return JSON.parse(text) as Partial<StatusHeader & RecorderStatus>
  } catch {
    return {}
  }
}

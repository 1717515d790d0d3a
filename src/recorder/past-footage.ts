import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { localTime } from '../daemon/local-time.ts'
import { ignoreMissing, type Folders } from '../segments/folders.ts'
import type { FootageSpan } from '../segments/closed-segments.ts'
import { cameraPaused, isPause, type Gap, type OpenGap } from '../segments/gaps.ts'
import { closedName, parseSegmentName } from '../segments/segment-name.ts'

/** What an earlier recorder said last, as far as it tells where the footage ends. */
const lastWords = z.object({
  updatedAt: z.string(),
  cameras: z.array(
    z.object({
      name: z.string(),
      footageUntil: z.string().optional(),
      gap: z.string().optional(),
      restartsToday: z.unknown().optional(),
    }),
  ),
})

/** A shorter time between two recordings is none in which anything is missing. */
export const leastGapMs = 1000
/** An open gap may begin a little before the end of the footage that was closed. */
const looseMs = 2000
/** A name may be so far ahead without being wrong: the end of summer time. */
const repeatedHoursMs = 2 * 3_600_000

/** Where an earlier recorder left off. */
export interface PastFootage {
  untilMs: number
  /** When that recorder was last heard of. */
  downSinceMs: number
  gap?: string | undefined
  /** As its status said it. */
  restartsToday?: unknown
}

/** What is on the disk of an earlier recorder's work. */
export interface EarlierWork {
  /** Its last status. */
  status: unknown
  /** What it closed last of each camera, oldest first. */
  closed: Map<string, FootageSpan[]>
  openGaps: OpenGap[]
}

/** The gaps between what was closed last, of which a recorder that was killed left no line. `noted` is where footage is known to stop. */
export function forgottenGaps({ closed, openGaps }: EarlierWork, noted: Gap[]): Gap[] {
  return [...closed].flatMap(([camera, spans]) => {
    const isHere = (gap: OpenGap, untilMs: number): boolean =>
      gap.camera === camera && Math.abs(gap.fromMs - untilMs) < looseMs
    return spans.slice(1).flatMap(({ fromMs }, index) => {
      const { toMs: untilMs = fromMs, stepMs = 0 } = spans[index] ?? {}
      const open = openGaps.find((gap) => isHere(gap, untilMs))
      const isHole = open
        ? fromMs - untilMs >= leastGapMs
        : isPause((fromMs - untilMs) / 1000, stepMs / 1000)
      if (!isHole || noted.some((gap) => isHere(gap, untilMs))) return []
      return [{ camera, fromMs: untilMs, toMs: fromMs, reason: open?.reason ?? cameraPaused }]
    })
  })
}

/**
 * Where the footage of each camera ends that an earlier recorder has closed. One that closed none yet
 * is an older version: then its last status counts, or the files, whichever is later, since a power
 * cut may have left an old status.
 */
export async function pastFootage(
  { status, closed, openGaps }: EarlierWork,
  folders: Folders,
  nowMs: number,
): Promise<Map<string, PastFootage>> {
  const past = new Map<string, PastFootage>()
  const { data } = lastWords.safeParse(status)
  for (const { name, footageUntil, gap, restartsToday } of data?.cameras ?? []) {
    if (footageUntil === undefined) continue
    const downSinceMs = Date.parse(data?.updatedAt ?? footageUntil)
    past.set(name, { untilMs: Date.parse(footageUntil), downSinceMs, gap, restartsToday })
  }
  for (const [camera, untilMs] of await newestFiles(folders, nowMs)) {
    const known = past.get(camera)
    if (!known || known.untilMs < untilMs)
      past.set(camera, { untilMs, downSinceMs: untilMs, restartsToday: known?.restartsToday })
  }
  for (const [camera, spans] of closed) {
    const untilMs = spans.at(-1)?.toMs ?? Infinity
    if (untilMs > nowMs + repeatedHoursMs) continue
    const known = past.get(camera)
    const open = openGaps.find((gap) => gap.camera === camera && gap.fromMs > untilMs - looseMs)
    const downSinceMs = Math.min(nowMs, Math.max(untilMs, known?.downSinceMs ?? untilMs))
    const { restartsToday } = known ?? {}
    past.set(camera, { untilMs, downSinceMs, gap: open?.reason, restartsToday })
  }
  return past
}

/** When the newest file of each camera was last written to; not one of a clock that was ahead. */
async function newestFiles(
  { open, recordings, uploaded }: Folders,
  nowMs: number,
): Promise<Map<string, number>> {
  const latest = localTime(nowMs + repeatedHoursMs)
  const latestStart = `${latest.date} ${latest.time}`.replaceAll(/[-:]/g, '')
  const newest = new Map<string, { name: string; path: string }>()
  for (const folder of [open, recordings, uploaded]) {
    for (const file of (await readdir(folder).catch(ignoreMissing)) ?? []) {
      const name = closedName(file)
      const { camera, date, time } = parseSegmentName(name) ?? {}
      if (camera === undefined || `${date} ${time}` > latestStart) continue
      if (name >= (newest.get(camera)?.name ?? ''))
        newest.set(camera, { name, path: join(folder, file) })
    }
  }
  const times = new Map<string, number>()
  for (const [camera, { path }] of newest) {
    const info = await stat(path).catch(ignoreMissing)
    if (info) times.set(camera, info.mtimeMs)
  }
  return times
}

import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { localTime } from '../daemon/local-time.ts'
import { ignoreMissing, type Folders } from '../segments/folders.ts'
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

/**
 * Where the footage of each camera ends that an earlier recorder has recorded: by its last status,
 * or by the files, whichever is later, since a power cut may have left an old status.
 */
export async function pastFootage(
  status: unknown,
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

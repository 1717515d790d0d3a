import { lstat } from 'node:fs/promises'
import { basename } from 'node:path'
import type { Trouble } from '../daemon/alerts.ts'
import type { Clock } from '../daemon/clock.ts'
import { bytesText, durationText } from '../daemon/units.ts'
import type { DiskState } from './free-space.ts'
import type { StoreHealth } from './store-health.ts'
import type { UploadQueue } from './upload-queue.ts'

const diskCalmMs = 15 * 60_000

interface Uploads {
  queue: Pick<UploadQueue, 'unfinished' | 'failed'>
  health: Pick<StoreHealth, 'status'>
  clock: Clock
}

/** Whether the oldest file that isn't in S3 has waited for too long since `beganMs` (monotonic), and why. */
export async function uploadTroubles(
  { queue, health, clock }: Uploads,
  { uploadLagMs, beganMs }: { uploadLagMs: number; beganMs: number },
): Promise<Trouble[]> {
  const [first, ...others] = queue.unfinished
  if (!first) return []
  const oldest = others.reduce((a, b) => (b.startMs < a.startMs ? b : a), first)
  const info = await lstat(oldest.path).catch(() => undefined)
  if (!info) return []
  // The clock may have been wrong: it counts from the uploader's own start, on the monotonic one.
  const waitedMs = Math.min(clock.now() - info.mtimeMs, clock.monotonicMs() - beganMs)
  if (waitedMs < uploadLagMs) return []
  const own = queue.failed.find(({ file }) => file === basename(oldest.path))
  const problem = health.status.problem ?? own?.problem
  const why = problem === undefined ? '' : `: ${problem}`
  const text = `a file has been waiting for S3 for ${durationText(waitedMs)}${why}`
  return [{ subject: 'uploads', text, lastedMs: waitedMs, afterMs: 0 }]
}

/** Whether less than MIN_FREE_DISK_GB is free, though what may be pruned early was. */
export function diskTroubles({ freeBytes, minFreeBytes }: DiskState, afterMs: number): Trouble[] {
  if (freeBytes === undefined || freeBytes >= minFreeBytes) return []
  const text = `${bytesText(freeBytes)} free, less than MIN_FREE_DISK_GB (${bytesText(minFreeBytes)})`
  // What moves to uploaded/ may be pruned, which helps for a while.
  return [{ subject: 'the disk', text, afterMs, calmMs: diskCalmMs }]
}

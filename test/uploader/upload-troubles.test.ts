import assert from 'node:assert/strict'
import { utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { diskTroubles, uploadTroubles } from '../../src/uploader/upload-troubles.ts'
import { HeldClock } from '../support/held-clock.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const nowMs = new Date(2025, 0, 25, 15, 30).getTime()
const minuteMs = 60_000

test('a file that has waited for too long is a trouble, with what the store says', async (t) => {
  const folder = await temporaryFolder(t)
  const file = async (name: string, minutesAgo: number) => {
    const path = join(folder, name)
    await writeFile(path, '')
    const endedMs = nowMs - minutesAgo * minuteMs
    await utimes(path, endedMs / 1000, endedMs / 1000)
    return { path, bytes: 1, startMs: endedMs - 10 * minuteMs }
  }
  const waiting = [await file('new.mp4', 3), await file('old.mp4', 61)]
  const clock = new HeldClock(nowMs)
  const failed: { file: string; problem: string }[] = []
  const troubles = async (problem?: string, upMinutes = 90) => {
    const status = { state: 'failing', since: '', ...(problem ? { problem } : {}) } as const
    const patience = {
      uploadLagMs: 60 * minuteMs,
      beganMs: clock.monotonicMs() - upMinutes * minuteMs,
    }
    return uploadTroubles(
      { queue: { unfinished: waiting, failed }, health: { status }, clock },
      patience,
    )
  }
  assert.deepEqual(await troubles(), [
    {
      ...{ subject: 'uploads', text: 'a file has been waiting for S3 for 61 min' },
      ...{ afterMs: 0, lastedMs: 61 * minuteMs },
    },
  ])
  assert.match((await troubles('AccessDenied'))[0]?.text ?? '', /for 61 min: AccessDenied$/)
  failed.push({ file: 'new.mp4', problem: 'it is odd' })
  assert.match((await troubles())[0]?.text ?? '', /for 61 min$/)
  failed.push({ file: 'old.mp4', problem: 'FFmpeg is missing' })
  assert.match((await troubles())[0]?.text ?? '', /for 61 min: FFmpeg is missing$/)
  assert.match((await troubles('AccessDenied'))[0]?.text ?? '', /for 61 min: AccessDenied$/)
  assert.deepEqual(await troubles(undefined, 59), [], 'it counts from the start of the uploader')
  waiting.pop()
  assert.deepEqual(await troubles(), [])
  waiting.pop()
  assert.deepEqual(await troubles(), [])
})

test('a disk with less than the minimum is a trouble', () => {
  assert.deepEqual(diskTroubles({ minFreeBytes: 2e9 }, 5), [])
  assert.deepEqual(diskTroubles({ minFreeBytes: 2e9, freeBytes: 2e9 }, 5), [])
  assert.deepEqual(diskTroubles({ minFreeBytes: 2e9, freeBytes: 1.2e9 }, 5), [
    {
      subject: 'the disk',
      text: '1.2 GB free, less than MIN_FREE_DISK_GB (2.0 GB)',
      afterMs: 5,
      calmMs: 900_000,
    },
  ])
})

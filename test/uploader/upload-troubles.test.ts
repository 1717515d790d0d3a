import assert from 'node:assert/strict'
import { utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { Alerts } from '../../src/daemon/alerts.ts'
import type { Unfinished } from '../../src/uploader/upload-queue.ts'
import { diskTroubles, UploadLag } from '../../src/uploader/upload-troubles.ts'
import { HeldClock } from '../support/held-clock.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const nowMs = new Date(2025, 0, 25, 15, 30).getTime()
const minuteMs = 60_000

/** What waits in a real folder, under a clock of our own; `look` answers what is told, and mild troubles in brackets. */
async function backlog(t: TestContext) {
  const folder = await temporaryFolder(t)
  const clock = new HeldClock(nowMs)
  const unfinished: Unfinished[] = []
  const failed: { file: string; problem: string }[] = []
  const status: { state: 'failing'; since: string; problem?: string } = {
    ...{ state: 'failing', since: '' },
  }
  /** A file that has ended in this moment, or some minutes ago. */
  const add = async (name: string, minutesAgo = 0): Promise<void> => {
    const path = join(folder, name)
    await writeFile(path, '')
    const endedMs = clock.now() - minutesAgo * minuteMs
    await utimes(path, endedMs / 1000, endedMs / 1000)
    const offeredMs = clock.monotonicMs()
    unfinished.push({ path, bytes: 1, startMs: endedMs - 10 * minuteMs, offeredMs })
  }
  const uploader = (lastStatus?: unknown): UploadLag => {
    for (const file of unfinished) file.offeredMs = clock.monotonicMs()
    const deps = { queue: { unfinished, failed }, health: { status }, clock }
    return new UploadLag({ ...deps, uploadLagMs: 60 * minuteMs }, lastStatus)
  }
  const look = async (lag: UploadLag): Promise<string[]> =>
    (await lag.troubles()).map(({ text, isMild }) => (isMild ? `(${text})` : text))
  return { clock, unfinished, failed, status, add, uploader, look }
}

const waiting = 'a file has been waiting for S3 for'

test('a file that has waited for too long is a trouble, with what the store says', async (t) => {
  const { clock, unfinished, failed, status, add, uploader, look } = await backlog(t)
  const lag = uploader()
  await add('old.mp4')
  await clock.advance(58 * minuteMs)
  await add('new.mp4')
  await clock.advance(3 * minuteMs)
  assert.deepEqual(await lag.troubles(), [
    {
      ...{ subject: 'uploads', text: `${waiting} 61 min`, isMild: false },
      ...{ afterMs: 0, lastedMs: 61 * minuteMs, calmMs: 15 * minuteMs },
    },
  ])
  failed.push({ file: 'new.mp4', problem: 'it is odd' })
  assert.deepEqual(await look(lag), [`${waiting} 61 min`])
  failed.push({ file: 'old.mp4', problem: 'FFmpeg is missing' })
  assert.deepEqual(await look(lag), [`${waiting} 61 min: FFmpeg is missing`])
  status.problem = 'AccessDenied'
  assert.deepEqual(await look(lag), [`${waiting} 61 min: AccessDenied`])
  unfinished.shift()
  assert.deepEqual([await look(lag), lag.waitedMs], [[], 3 * minuteMs])
  unfinished.pop()
  assert.deepEqual([await look(lag), lag.waitedMs], [[], 0])
})

test('an upstream that is a little too slow is one alert, however the wait of the oldest goes up and down', async (t) => {
  const { clock, unfinished, add, uploader } = await backlog(t)
  const lag = uploader()
  const told: string[] = []
  const alerts = new Alerts({ clock, tell: (text) => void told.push(text) }, [])
  for (let minute = 0; minute < 20 * 60; minute += 1) {
    if (minute % 10 === 0) await add(`${minute}.mp4`)
    // S3 is away for three hours; then each file takes eight minutes.
    if (minute > 180 && minute % 8 === 0) unfinished.shift()
    await clock.advance(minuteMs)
    alerts.look(await lag.troubles())
  }
  assert.equal(told.length, 2, told.join('\n'))
})

test('an uploader that is restarted again and again tells all the same', async (t) => {
  const { clock, add, uploader, look } = await backlog(t)
  await add('old.mp4')
  let lag = uploader()
  for (let life = 0; life < 2; life += 1) {
    await clock.advance(25 * minuteMs)
    assert.deepEqual(await look(lag), life === 0 ? [] : [`(${waiting} 50 min)`])
    lag = uploader({ waitedMs: lag.waitedMs })
  }
  await clock.advance(25 * minuteMs)
  assert.deepEqual(await look(lag), [`${waiting} 75 min`])
})

test('what an earlier uploader has seen wait counts for nothing that ended since, and for nothing once all is shipped', async (t) => {
  const { clock, unfinished, add, uploader } = await backlog(t)
  const lag = uploader({ waitedMs: 300 * minuteMs })
  await lag.troubles()
  assert.equal(lag.waitedMs, 300 * minuteMs, 'at the start the files have yet to be found')
  await add('new.mp4')
  await clock.advance(5 * minuteMs)
  await lag.troubles()
  assert.equal(lag.waitedMs, 5 * minuteMs)
  unfinished.pop()
  await lag.troubles()
  await add('old.mp4', 90)
  await lag.troubles()
  assert.equal(lag.waitedMs, 0)
})

test('a clock that is set forward makes no file late', async (t) => {
  const { clock, add, uploader, look } = await backlog(t)
  const lag = uploader()
  await clock.advance(120 * minuteMs)
  await add('new.mp4')
  clock.set(clock.now() + 120 * minuteMs)
  assert.deepEqual(await look(lag), [])
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

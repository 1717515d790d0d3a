import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { RtspCamera } from '../../demo/rtsp-camera.ts'
import type { LedgerLine } from '../../src/uploader/ledger.ts'
import {
  assertPlays,
  countersOf,
  ffmpegPid,
  lossAround,
  processGone,
  recordSeconds,
} from '../recorder/recordings.ts'
import { journalLines } from '../support/journal-lines.ts'
import { startInstallation, until, type Installation } from './installation.ts'

describe('what dies while a camera is recorded', { concurrency: 2 }, () => {
  test('an FFmpeg killed in the middle of a segment costs at most 2 s before and 3 s after, and both files end up in S3 and play', async (t) => {
    const { installation, camera } = await startInstallation(t, { SEGMENT_DURATION: '60' })
    await recordsSteadily(installation, camera)
    const pid = await ffmpegPid(installation.envFile)
    const faultFrame = camera.frameNow
    process.kill(pid, 'SIGKILL')
    await goesOn(installation, camera, faultFrame)
    const counters = await countersOf(await objects(t, installation))
    const { beforeSeconds, afterSeconds } = lossAround(counters, faultFrame)
    t.diagnostic(`lost before: ${beforeSeconds.toFixed(1)} s`)
    t.diagnostic(`first frame ${afterSeconds.toFixed(1)} s after`)
    assert.ok(beforeSeconds <= 2, `${beforeSeconds} s`)
    assert.ok(afterSeconds <= 3, `${afterSeconds} s`)
    assertOneAtATime(camera)
  })

  test('a recorder that is killed takes its FFmpeg with it, files complete, and another records again within 5 s', async (t) => {
    const { installation, camera } = await startInstallation(t, { SEGMENT_DURATION: '60' })
    await recordsSteadily(installation, camera)
    const pid = await ffmpegPid(installation.envFile)
    const recorder = await installation.pid('recorder')
    const faultFrame = camera.frameNow
    process.kill(recorder, 'SIGKILL')
    const gone = await processGone(pid, 10_000)
    await goesOn(installation, camera, faultFrame)
    const counters = await countersOf(await objects(t, installation))
    const { beforeSeconds, afterSeconds } = lossAround(counters, faultFrame)
    t.diagnostic(`its FFmpeg was gone after ${gone.toFixed(1)} s`)
    t.diagnostic(`lost before: ${beforeSeconds.toFixed(1)} s`)
    t.diagnostic(`first frame ${afterSeconds.toFixed(1)} s after`)
    assert.ok(gone <= 2, `${gone} s`)
    assert.ok(beforeSeconds <= 2, `${beforeSeconds} s`)
    assert.ok(afterSeconds <= 5, `${afterSeconds} s`)
    assertOneAtATime(camera)
  })
})

async function recordsSteadily(installation: Installation, camera: RtspCamera): Promise<void> {
  const { code, output } = await installation.run('start.sh')
  assert.equal(code, 0, output)
  // A file must not begin or end in the middle of what is measured.
  await until(70_000, 'a segment has just begun', () => (Date.now() / 1000) % 60 < 30)
  await recordSeconds(camera, 3)
}

/** Waits until a camera is played again, and for some footage more; then stops everything. */
async function goesOn(
  installation: Installation,
  camera: RtspCamera,
  faultFrame: number,
): Promise<void> {
  await until(30_000, 'it is recorded again', () => camera.playing > 0)
  while (camera.frameNow < faultFrame + 25 * 8) await sleep(100)
  // The recorder alone, so that the uploader ships what it leaves.
  process.kill(await installation.keepAlivePid('recorder'), 'SIGTERM')
  const pid = await installation.pid('recorder')
  process.kill(pid, 'SIGTERM')
  await processGone(pid, 10_000)
}

/** Waits until every recording is in S3, and answers the objects as a reader gets them. */
async function objects(t: TestContext, installation: Installation): Promise<string[]> {
  const { folders } = installation
  await until(60_000, 'everything is in S3', () => mp4Files(folders.recordings).length === 0)
  const ledger = journalLines<LedgerLine>(folders.ledger)
  const lines = ledger.sort((a, b) => a.file.localeCompare(b.file))
  const files = lines.map(async ({ endpoint, bucket, key }, index) => {
    const response = await fetch(`${endpoint}/${bucket}/${key}`)
    const file = join(folders.base, `object-${index}.mp4`)
    await writeFile(file, Buffer.from(await response.arrayBuffer()))
    await assertPlays(file)
    return file
  })
  t.diagnostic(`objects in S3: ${lines.map(({ file }) => file).join(', ')}`)
  return Promise.all(files)
}

function mp4Files(folder: string): string[] {
  return readdirSync(folder, { recursive: true })
    .map(String)
    .filter((file) => file.endsWith('.mp4'))
}

/** Never two FFmpegs on a camera. */
function assertOneAtATime({ events }: RtspCamera): void {
  const most = Math.max(...events.map(({ playing }) => playing))
  assert.equal(most, 1, `${most} clients at a time`)
}

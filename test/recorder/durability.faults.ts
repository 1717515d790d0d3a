import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { startRtspCamera } from '../../demo/rtsp-camera.ts'
import { cachedClip } from '../support/clips.ts'
import { startDaemon } from '../support/running-daemon.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const watchedMs = 25_000

test('what is being recorded reaches the disk at least every five seconds, its name included', async (t) => {
  const folder = await temporaryFolder(t)
  const camera = await startRtspCamera({ clip: await cachedClip() })
  t.after(async () => camera.close())
  const daemon = await startDaemon(t, 'recorder', folder, {
    ...{ CAMERA_1_URL: camera.url, CAMERA_1_NAME: 'Front', SEGMENT_DURATION: 86_400 },
  })
  const trace = join(folder, 'trace')
  const calls = ['-f', '-y', '-ttt', '-e', 'trace=fsync,fdatasync', '-o', trace]
  const strace = spawn('strace', [...calls, '-p', String(daemon.process.pid)], { stdio: 'ignore' })
  t.after(() => strace.kill('SIGKILL'))
  await daemon.line(/recording started/)
  await sleep(watchedMs)
  strace.kill('SIGINT')
  await once(strace, 'exit')

  const synced = readFileSync(trace, 'utf8').split('\n')
  const [segment = ''] = readdirSync(join(folder, 'recordings', 'open'))
  const ofSegment = synced.filter((line) => line.includes('fdatasync') && line.includes(segment))
  assert.ok(synced.some((line) => /fsync\(\d+<[^>]*recordings\/open>/.test(line)))
  const times = ofSegment.map((line) => Number(/(\d{9,}\.\d+)/.exec(line)?.[1]))
  const waits = times.slice(1).map((time, index) => time - (times[index] ?? time))
  assert.ok(waits.length >= 5, synced.join('\n'))
  // FFmpeg adds what it has every second.
  assert.ok(Math.max(...waits) + 1 < 5, String(waits))
  t.diagnostic(`a power cut takes at most ${(Math.max(...waits) + 1).toFixed(1)} s of footage`)
})

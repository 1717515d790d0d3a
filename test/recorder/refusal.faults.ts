import assert from 'node:assert/strict'
import { copyFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { canary } from '../support/canaries.ts'
import { startRtspCamera, type RtspCamera } from '../../demo/rtsp-camera.ts'
import { cachedClip } from '../support/clips.ts'
import { cannotMount } from '../support/small-disk.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import {
  countersOf,
  lossAround,
  recordings,
  recordSeconds,
  startRecorder,
  startRecording,
} from './recordings.ts'

interface Refusal {
  title: string
  begins: (camera: RtspCamera) => void
  ends: (camera: RtspCamera) => void
  line: RegExp
  awaySeconds: number
  againWithinSeconds: number
}

const refusals: Refusal[] = [
  {
    title: 'closes the connection',
    begins: () => {},
    ends: () => {},
    line: /the camera closed the connection/,
    awaySeconds: 0,
    againWithinSeconds: 5,
  },
  {
    title: 'refuses the connection',
    begins: ({ faults }) => (faults.refuseConnections = true),
    ends: ({ faults }) => (faults.refuseConnections = false),
    line: /refuses the connection: is RTSP switched on/,
    awaySeconds: 30,
    againWithinSeconds: 15,
  },
  {
    title: 'does not know the path',
    begins: ({ faults }) => (faults.notFound = true),
    ends: ({ faults }) => (faults.notFound = false),
    line: /no stream \/Preview_01_main: check the path in CAMERA_1_URL/,
    awaySeconds: 30,
    againWithinSeconds: 15,
  },
  {
    title: 'serves another client',
    begins: ({ faults }) => (faults.busy = true),
    ends: ({ faults }) => (faults.busy = false),
    line: /serves no further session: another program/,
    awaySeconds: 30,
    againWithinSeconds: 15,
  },
  {
    title: 'asks for a digest that FFmpeg does not know',
    begins: ({ faults }) => (faults.wantsSha256 = true),
    ends: ({ faults }) => (faults.wantsSha256 = false),
    line: /asks for a SHA-256 digest, and FFmpeg knows MD5 only/,
    awaySeconds: 5,
    againWithinSeconds: 78,
  },
  {
    title: 'has got another password',
    begins: ({ faults }) => (faults.unauthorized = true),
    ends: ({ faults }) => (faults.unauthorized = false),
    line: /rejects the user or password: check CAMERA_1_URL/,
    awaySeconds: 5,
    againWithinSeconds: 78,
  },
]

describe('a camera that refuses', { concurrency: 4 }, () => {
  for (const { title, begins, ends, line, awaySeconds, againWithinSeconds } of refusals)
    test(`one that ${title} gets one clear line, and is recorded again within the backoff of its return`, async (t) => {
      const credentials = { user: 'operator', password: canary() }
      const { camera, daemon, folder } = await startRecording(t, {}, credentials)
      await daemon.line(/recording started/)
      await recordSeconds(camera, 2)
      const faultFrame = camera.frameNow
      const refusedAtMs = Date.now()
      begins(camera)
      camera.disconnectAll()
      await daemon.line(line)
      await sleep(awaySeconds * 1000)
      const overFrame = camera.frameNow
      const seen = camera.events.filter(({ atMs }) => atMs > refusedAtMs)
      const { length: tries } = seen.filter(({ what }) => what === 'connected')
      ends(camera)
      await daemon.line(/recording started .*tries/, { withinMs: 90_000 })
      await recordSeconds(camera, 1)
      await daemon.stop()
      const counters = await countersOf(recordings(folder))
      const { beforeSeconds, afterSeconds } = lossAround(counters, faultFrame, overFrame)
      t.diagnostic(`lost before: ${beforeSeconds.toFixed(1)} s`)
      t.diagnostic(`first frame ${afterSeconds.toFixed(1)} s after its return`)
      t.diagnostic(`tries that reached it in ${awaySeconds} s: ${tries}`)
      assert.ok(beforeSeconds <= 2, `${beforeSeconds} s`)
      assert.ok(afterSeconds <= againWithinSeconds, `${afterSeconds} s`)
      const lines = daemon.lines.filter((text) => text.includes('not recording'))
      assert.equal(lines.filter((text) => line.test(text)).length, 1, lines.join('\n'))
      assert.ok(lines.length <= 2, lines.join('\n'))
      // Whoever is asked for another password may be locked out after a few tries: FFmpeg has one,
      // and then the camera is asked, without a password, what it wants.
      if (title.includes('password')) assert.ok(tries === 2 && afterSeconds > 50)
    })

  test('one that ends each session after the same time is said to', async (t) => {
    const { camera, daemon } = await startRecording(t)
    for (let session = 1; session <= 3; session++) {
      const from = daemon.lines.length
      await daemon.line(/recording started/, { from })
      await recordSeconds(camera, 6)
      camera.disconnectAll()
    }
    await daemon.line(/ends each session after about [67] s: try CAMERA_1_TRANSPORT=udp, another/)
    await daemon.stop()
  })

  test(
    'a host name that is unknown for a while gets one clear line, and is recorded again soon after it is known',
    { skip: cannotMount },
    async (t) => {
      const camera = await startRtspCamera({ clip: await cachedClip() })
      t.after(async () => camera.close())
      const folder = await temporaryFolder(t)
      // The recorder's own /etc/hosts.
      const hosts = join(folder, 'hosts')
      await copyFile('/etc/hosts', hosts)
      const without = await readFile(hosts)
      const known = async (): Promise<void> =>
        writeFile(hosts, `${without.toString()}\n127.0.0.1 front-door.invalid\n`)
      await known()
      const mount = 'mount --bind "$0" /etc/hosts && exec "$@"'
      const under = ['unshare', '--mount', 'sh', '-c', mount, hosts]
      const url = camera.url.replace('127.0.0.1', 'front-door.invalid')
      const daemon = await startRecorder(t, folder, url, {}, {}, under)
      await daemon.line(/recording started/)
      await recordSeconds(camera, 2)
      await writeFile(hosts, without)
      camera.disconnectAll()
      await daemon.line(/no such host as front-door\.invalid/)
      await sleep(30_000)
      const fromFrame = camera.frameNow
      await known()
      await daemon.line(/recording started .*tries/)
      await recordSeconds(camera, 1)
      await daemon.stop()
      const counters = await countersOf(recordings(folder))
      const afterSeconds = (counters.find((frame) => frame > fromFrame)! - fromFrame) / 25
      t.diagnostic(`first frame ${afterSeconds.toFixed(1)} s after its return`)
      assert.ok(afterSeconds <= 15, `${afterSeconds} s`)
      const lines = daemon.lines.filter((text) => text.includes('not recording'))
      assert.ok(lines.length <= 2, lines.join('\n'))
    },
  )
})

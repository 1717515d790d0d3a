// What a benchmark runs against, in a process of its own so that its CPU isn't counted: prints
// what it is in one line of JSON, and ends with its parent.
//   cameras N KBPS | store
import { startRtspCamera } from '../demo/rtsp-camera.ts'
import { cachedClip } from '../test/support/clips.ts'
import { S3Server } from '../test/support/s3-server.ts'

const [what, count, kbps] = process.argv.slice(2)
process.stdin.on('end', () => process.exit(0)).resume()

if (what === 'cameras') {
  const picture = { width: 1920, height: 1080, videoKbps: Number(kbps), gopSeconds: 2 }
  const clip = await cachedClip(picture)
  const cameras = await Promise.all(
    Array.from({ length: Number(count) }, async () => startRtspCamera({ clip })),
  )
  say({ urls: cameras.map(({ url }) => url) })
} else {
  const server = await S3Server.start({ keeps: false })
  const requests = new Map<string, number>()
  server.options.onRequest = ({ method }) => {
    requests.set(method, (requests.get(method) ?? 0) + 1)
  }
  const { bucket, accessKeyId, secretAccessKey } = server.options
  say({ url: server.url, bucket, accessKeyId, secretAccessKey })
  // Asked with a line, it tells what it has been asked.
  process.stdin.on('data', () => say({ requests: Object.fromEntries(requests) }))
}

function say(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`)
}

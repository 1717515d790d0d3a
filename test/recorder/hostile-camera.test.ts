import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdir, open, readFile, writeFile } from 'node:fs/promises'
import { createServer, type ServerResponse } from 'node:http'
import { createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { promisify } from 'node:util'
import { flvTicksPerSecond } from '../../src/recorder/bridge.ts'
import { withoutCredentials } from '../../src/recorder/camera-url.ts'
import { atEnd } from '../support/at-end.ts'
import { canaryWord } from '../support/canaries.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { count, oneSegment, startRecorder } from './recordings.ts'

const run = promisify(execFile)

type Answer = (response: ServerResponse, path: string) => void

/** A camera on HTTP that answers by path; answers its URL, without the path. */
async function httpCamera(t: TestContext, answer: Answer, host = '127.0.0.1'): Promise<string> {
  const server = createServer((request, response) => answer(response, request.url ?? '/'))
  server.listen(0, host)
  await once(server, 'listening')
  atEnd(t, () => {
    server.closeAllConnections()
    server.close()
  })
  return `http://${host}:${(server.address() as AddressInfo).port}`
}

/** Settings for a camera at each path, named after it. */
function camerasAt(url: string, paths: string[]): Record<string, string> {
  const settings = paths.flatMap((path, index) => [
    [`CAMERA_${index + 1}_NAME`, path.replaceAll('/', '-')],
    [`CAMERA_${index + 1}_URL`, `${url}/${path}`],
  ])
  return Object.fromEntries(settings) as Record<string, string>
}

/** A file of this machine; tells whether anybody has opened it. */
async function watchedFile(t: TestContext): Promise<{ path: string; isOpened: () => boolean }> {
  const path = join(await temporaryFolder(t), 'secret.mp4')
  await run('mkfifo', [path])
  let isOpened = false
  // Waits for a reader.
  const opening = open(path, 'w').then(async (file) => {
    isOpened = true
    await file.close()
  })
  atEnd(t, async () => {
    await (await open(path, 'r+')).close()
    await opening
  })
  return { path, isOpened: () => isOpened }
}

/** UDP ports that are bound on this machine, in hexadecimal. */
function udpPorts(): string[] {
  return ['udp', 'udp6'].flatMap((table) =>
    [...readFileSync(`/proc/net/${table}`, 'utf8').matchAll(/^ *\d+: \w+:(\w{4}) /gm)].map(
      ([, port = '']) => port,
    ),
  )
}

const segmentList = (segment: string, tag = ''): string =>
  `#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:10\n${tag}#EXTINF:10,\n${segment}\n#EXT-X-ENDLIST\n`

const sdpPort = 13_990
const sdp = `v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=video ${sdpPort} RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n`

/** Newer FFmpegs have a list of their own, too, and don't say what it was that they refused. */
const refusedFile = /names a file: address|sends nothing that can be recorded/

/** What each path leads to, and what the log says of it. */
const lures = (secret: string): [string, string, RegExp][] => [
  ['playlist', segmentList(`file://${secret}`), refusedFile],
  [
    'initialization',
    segmentList(`file://${secret}`, `#EXT-X-MAP:URI="file://${secret}"\n`),
    refusedFile,
  ],
  ['concat', `ffconcat version 1.0\nfile '${secret}'\n`, /sends the format concat, which/],
  ['sdp', sdp, /sends the format sdp, which is not recorded over HTTP: .* flv, .*mpegts/],
]

/** Some seconds of footage in each format that is recorded over HTTP, below this folder. */
async function makeFootage(folder: string): Promise<void> {
  await Promise.all(['ts', 'fmp4'].map(async (name) => mkdir(join(folder, name))))
  const source = ['-v', 'error', '-f', 'lavfi', '-i', 'testsrc2=s=160x90:r=10:d=4']
  const h264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-g', '10', '-pix_fmt', 'yuv420p']
  const hls = ['-f', 'hls', '-hls_time', '1', '-hls_list_size', '0']
  await run('ffmpeg', [
    ...source,
    ...[...h264, '-f', 'flv', join(folder, 'flv')],
    ...[...h264, '-f', 'mpegts', join(folder, 'mpegts')],
    ...['-f', 'mpjpeg', join(folder, 'mpjpeg')],
    ...[...h264, ...hls, join(folder, 'ts', 'list.m3u8')],
    ...[...h264, ...hls, '-hls_segment_type', 'fmp4', join(folder, 'fmp4', 'list.m3u8')],
  ])
}

/** Lets the recorder know what a camera sends, so that it need not try twice. */
async function remember(
  folder: string,
  camera: string,
  url: string,
  ticksPerSecond: number,
): Promise<void> {
  const streams = join(folder, 'data', 'streams')
  await mkdir(streams, { recursive: true })
  const stream = { video: 'h264', ticksPerSecond }
  const known = { source: `${withoutCredentials(url)} tcp`, stream }
  await writeFile(join(streams, `${camera}.json`), JSON.stringify(known))
}

/** A camera on HTTP that sends footage from this folder. */
async function liveFootage(t: TestContext, footage: string, host?: string): Promise<string> {
  const answer: Answer = (response, path) => {
    void readFile(join(footage, path)).then(
      // Live, so that it doesn't end as the file does.
      (content) => (/\./.test(path) ? response.end(content) : response.write(content)),
      () => response.writeHead(404).end(),
    )
  }
  return httpCamera(t, answer, host)
}

/** An address of this machine on its network, if it has one. */
const ownAddress = Object.values(networkInterfaces())
  .flatMap((list) => list ?? [])
  .find(({ family, internal }) => family === 'IPv4' && !internal)?.address

describe('a hostile camera', { concurrency: 6 }, () => {
  test('opens no file and no port of this machine by what it answers over HTTP, and is told of', async (t) => {
    const secret = await watchedFile(t)
    const answers = lures(secret.path)
    const url = await httpCamera(t, (response, path) =>
      response.end(answers.find(([name]) => `/${name}` === path)?.[1]),
    )
    const folder = await temporaryFolder(t)
    const settings = camerasAt(
      url,
      answers.map(([path]) => path),
    )
    const before = udpPorts()
    const daemon = await startRecorder(t, folder, url, settings)
    for (const [name, , line] of answers)
      assert.match(await daemon.line(new RegExp(`${name}: not recording`)), line)
    assert.ok(before.includes(hex(sdpPort)) || !udpPorts().includes(hex(sdpPort)))
    await daemon.stop()
    assert.equal(secret.isOpened(), false)
    assert.equal(count(daemon, /recording started/), 0)
    const left = readdirSync(join(folder, 'recordings'), { recursive: true })
    assert.deepEqual(left, ['open'])
  })

  test('that leads to another URL tells no credential of that by way of the log', async (t) => {
    const secrets = [canaryWord(), canaryWord(), canaryWord()] as const
    const [password, token, reason] = secrets
    const target = `rtsp://admin:${password}@127.0.0.1:9/x?unheard-of=${token}`
    const url = await rtspCamera(t, (method, _, cseq) =>
      method === 'DESCRIBE'
        ? `RTSP/1.0 302 Moved\r\nCSeq: ${cseq}\r\nLocation: ${target}\r\n\r\n`
        : undefined,
    )
    const other = await rtspCamera(t, (method, _, cseq) =>
      method === 'DESCRIBE'
        ? `RTSP/1.0 418 See http://${reason}@ip/?${token}\r\nCSeq: ${cseq}\r\n\r\n`
        : undefined,
    )
    const settings = { CAMERA_2_URL: other, CAMERA_2_NAME: 'Back', LOG_LEVEL: 'DEBUG' }
    const folder = await temporaryFolder(t)
    const daemon = await startRecorder(t, folder, url, settings)
    await daemon.line(/Redirecting to rtsp:\/\/\*\*\*@127\.0\.0\.1:9\/x\?\*\*\*/)
    for (const name of ['Front', 'Back']) await daemon.line(new RegExp(`${name}: not recording`))
    await daemon.stop()
    const status = readFileSync(join(folder, 'data', 'status', 'recorder.json'), 'utf8')
    const told = [...daemon.lines, status].join('\n')
    for (const secret of secrets) assert.equal(told.indexOf(secret), -1)
  })

  test('whose redirect or playlist leads into this machine is given up, and told of', async (t) => {
    const footage = await temporaryFolder(t)
    await makeFootage(footage)
    const inside = await liveFootage(t, footage, '127.0.0.2')
    const url = await httpCamera(t, (response, path) => {
      if (path.startsWith('/redirect'))
        return response.writeHead(302, { location: `${inside}/flv` }).end()
      const segments = [0, 1, 2].map((n) => `#EXTINF:1,\n${inside}/ts/list${n}.ts\n`)
      response.setHeader('content-type', 'application/vnd.apple.mpegurl')
      response.end(`#EXTM3U\n#EXT-X-TARGETDURATION:1\n${segments.join('')}`)
    })
    const paths = ['redirect', 'playlist']
    const folder = await temporaryFolder(t)
    await remember(folder, 'redirect', `${url}/redirect`, flvTicksPerSecond)
    await remember(folder, 'playlist', `${url}/playlist`, 90_000)
    const daemon = await startRecorder(t, folder, url, camerasAt(url, paths))
    for (const path of paths)
      await daemon.line(new RegExp(`${path}: not recording .*leads to 127\\.0\\.0\\.2, an address`))
    await daemon.stop()
  })

  test(
    'that leads to another host is recorded, and told of once',
    { skip: !ownAddress },
    async (t) => {
      const footage = await temporaryFolder(t)
      await makeFootage(footage)
      const other = await liveFootage(t, footage, ownAddress)
      const url = await httpCamera(t, (response) =>
        response.writeHead(302, { location: `${other}/mpegts` }).end(),
      )
      const folder = await temporaryFolder(t)
      await remember(folder, 'Front', url, 90_000)
      const daemon = await startRecorder(t, folder, url)
      await daemon.line(
        new RegExp(`Front: the camera leads to another host .*address=${ownAddress}`),
      )
      await daemon.line(/recording started/)
      await daemon.stop()
      assert.equal(count(daemon, /leads to another host/), 1, daemon.lines.join('\n'))
    },
  )

  test('that announces a description of 2 GB gets no memory for it', async (t) => {
    const piece = Buffer.alloc(1_000_000, 'a=x\r\n')
    let sent = 0
    const url = await rtspCamera(t, (method, socket, cseq) => {
      if (method !== 'DESCRIBE') return undefined
      const send = (error?: Error | null): void => {
        if (error || sent > 2e8) return
        sent += piece.length
        socket.write(piece, send)
      }
      setImmediate(send)
      return `RTSP/1.0 200 OK\r\nCSeq: ${cseq}\r\nContent-Type: application/sdp\r\nContent-Length: 2147483000\r\n\r\n`
    })
    const daemon = await startRecorder(t, await temporaryFolder(t), url)
    await daemon.line(/Front: not recording/)
    await daemon.stop()
    assert.ok(sent < 1e8, `${sent} bytes were read`)
  })

  test('FLV, MPEG-TS, MPJPEG and HLS are recorded over HTTP', async (t) => {
    const footage = await temporaryFolder(t)
    await makeFootage(footage)
    const url = await liveFootage(t, footage)
    const paths = ['flv', 'mpegts', 'mpjpeg', 'ts/list.m3u8', 'fmp4/list.m3u8']
    const settings = { ...camerasAt(url, paths), SEGMENT_DURATION: oneSegment }
    const daemon = await startRecorder(t, await temporaryFolder(t), url, settings)
    for (const path of paths)
      await daemon.line(new RegExp(`${path.replaceAll('/', '-')}: recording started`))
    await daemon.stop()
  })
})

/** What an RTSP camera answers to a request, by its method; undefined: nothing special. */
type RtspAnswer = (method: string, socket: Socket, cseq: string) => string | undefined

/** A camera that answers requests before any video; answers its URL. */
async function rtspCamera(t: TestContext, answer: RtspAnswer): Promise<string> {
  const sockets = new Set<Socket>()
  const server = createTcpServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.setEncoding('latin1').on('data', (request: string) => {
      const cseq = /^CSeq: *(\d+)/im.exec(request)?.[1] ?? '1'
      const usual = `RTSP/1.0 200 OK\r\nCSeq: ${cseq}\r\nPublic: DESCRIBE, SETUP, PLAY\r\n\r\n`
      socket.write(answer(request.split(' ')[0] ?? '', socket, cseq) ?? usual)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  atEnd(t, () => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return `rtsp://127.0.0.1:${(server.address() as AddressInfo).port}/main`
}

function hex(port: number): string {
  return port.toString(16).toUpperCase().padStart(4, '0')
}

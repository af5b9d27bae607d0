// An audio processor in Node: node processor.js PORT [DELAY_MS [FFMPEG_AUDIO_FILTER]]
'use strict';
const { spawn } = require('child_process');
const { Server } = require('socket.io');

const [port = 0, delayMs = 100, filter] = process.argv.slice(2);

// Fragmented MP4 in, anything that docs/processor.md lists out. Here: FFmpeg, or the sound as it came.
function processAudio(data) {
  if (!filter) return Promise.resolve(data);
  const output = ['-c:a', 'aac', '-movflags', 'frag_keyframe+delay_moov', '-f', 'mp4', 'pipe:1'];
  const ffmpeg = spawn('ffmpeg', ['-v', 'error', '-i', 'pipe:0', '-af', filter, ...output]);
  ffmpeg.stdin.on('error', () => {}).end(data); // an early end is told by the exit code
  return new Promise((resolve, reject) => {
    const chunks = [];
    ffmpeg.stdout.on('data', (chunk) => chunks.push(chunk));
    ffmpeg.on('error', reject).on('close', (code) => (code ? reject(new Error(`ffmpeg: ${code}`)) : resolve(Buffer.concat(chunks))));
  });
}

const http = require('http').createServer();
new Server(http, { maxHttpBufferSize: 64 * 1024 * 1024 }).on('connection', (socket) => {
  socket.on('fragment:data', ({ fragment, data }) => {
    const began = Date.now();
    socket.emit('fragment:ack', { fragment: { id: fragment.id }, status: 'queued' });
    Promise.all([processAudio(data), new Promise((resolve) => setTimeout(resolve, delayMs))]).then(
      ([processed]) => socket.emit('fragment:processed', { fragment, data: processed, metadata: { processingTime: Date.now() - began } }),
      (error) => socket.emit('fragment:error', { fragment, error: error.message, code: 'PROCESSING_FAILED' }));
  });
});
http.listen(port, '127.0.0.1', () => console.log(`listening ${http.address().port}`));

// Answers every fragment unchanged, with Node's socket.io: node echo.js PORT [DELAY_MS]
'use strict';
const { Server } = require('socket.io');

const port = Number(process.argv[2] || 0);
const delayMs = Number(process.argv[3] || 100);
const io = new Server({ maxHttpBufferSize: 64 * 1024 * 1024 });

io.on('connection', (socket) => {
  socket.on('fragment:data', ({ fragment, data }) => {
    socket.emit('fragment:ack', { fragment: { id: fragment.id }, status: 'queued' });
    setTimeout(() => {
      socket.emit('fragment:processed', { fragment, data, metadata: { processingTime: delayMs } });
    }, delayMs);
  });
});

const http = require('http').createServer();
io.attach(http);
http.listen(port, '127.0.0.1', () => console.log(`listening ${http.address().port}`));

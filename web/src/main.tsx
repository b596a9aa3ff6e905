import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { router } from './app/router';
import { followSystem } from './app/theme';
import { ApiError } from './core/api/http';
import './ui/tokens.css';
import './ui/base.css';

const client = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 10_000,
      refetchOnWindowFocus: false,
      // A wrong query stays wrong; only an unreachable server is asked once more.
      retry: (n, err) => n < 1 && err instanceof ApiError && (err.status === 0 || err.status >= 502),
    },
  },
});

followSystem();

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <QueryClientProvider client={client}>
      <RouterProvider router={router} />
    </QueryClientProvider>
  </StrictMode>,
);

// Gradient descent on the population loss, as one would write it by hand in C: the yardstick of
// bench/descent.py. A run is one element of the batch; it takes `steps` plain steps.
//
//     cc -O3 -march=native -ffast-math -fopenmp -shared -fPIC descent.c -o descent.so

#include <string.h>

void descend(int runs, int d, int k, long steps, double lr, double *A_all, double *B_all,
             double *C_all, const double *target_all, double *loss_all)
{
    #pragma omp parallel for schedule(dynamic)
    for (int run = 0; run < runs; run++) {
        double *A = A_all + (long)run * d * d, *B = B_all + (long)run * d, *C = C_all + (long)run * d;
        const double *target = target_all + (long)run * k;
        double K[k][d], adjoint[k][d], g[k]; // rows A^j B, and the derivatives by them
        double loss = 0;
        for (long step = 0; step <= steps; step++) {
            memcpy(K[0], B, d * sizeof(double));
            for (int j = 1; j < k; j++)
                for (int i = 0; i < d; i++) {
                    double sum = 0;
                    for (int l = 0; l < d; l++) sum += A[i * d + l] * K[j - 1][l];
                    K[j][i] = sum;
                }
            loss = 0;
            for (int j = 0; j < k; j++) {
                double r = -target[j];
                for (int i = 0; i < d; i++) r += C[i] * K[j][i];
                g[j] = 2 * r;
                loss += r * r;
            }
            if (step == steps) break;
            for (int i = 0; i < d; i++) adjoint[k - 1][i] = g[k - 1] * C[i];
            for (int j = k - 2; j >= 0; j--) {
                for (int i = 0; i < d; i++) adjoint[j][i] = g[j] * C[i];
                for (int l = 0; l < d; l++)
                    for (int i = 0; i < d; i++) adjoint[j][i] += A[l * d + i] * adjoint[j + 1][l];
            }
            for (int i = 0; i < d; i++)
                for (int j = 1; j < k; j++)
                    for (int l = 0; l < d; l++)
                        A[i * d + l] -= lr * adjoint[j][i] * K[j - 1][l];
            for (int i = 0; i < d; i++) B[i] -= lr * adjoint[0][i];
            for (int j = 0; j < k; j++)
                for (int i = 0; i < d; i++) C[i] -= lr * g[j] * K[j][i];
        }
        loss_all[run] = loss;
    }
}
